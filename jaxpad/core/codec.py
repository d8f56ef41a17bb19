"""Dataclasses as JSON data, and back with every type checked."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Set
from functools import cache
from typing import Any

from jaxpad.core.reading import Reading
from jaxpad.core.results import Rate, Verdict
from jaxpad.core.text import unicode

# A program can give NaN, and JSON has none: null stands for it here.
MAY_BE_NAN: dict[type, frozenset[str]] = {Rate: frozenset({"median", "spread"})}


class Misfit(ValueError):
    """Data of another shape than the model's: where, and what is wrong there."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(f"{place} {what}".lstrip())
        self.what, self.place = what, place

    def below(self, step: str) -> Misfit:
        """The same, seen from one step further out."""
        return Misfit(self.what, step + self.place)


def to_plain(value: Any, kind: Any = None) -> Any:
    """Lists, dictionaries, text and finite numbers, ready for JSON.

    JSON has no infinity and no NaN: where `kind` allows text they become words, elsewhere null.
    """
    if isinstance(value, str):
        return unicode(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if str in typing.get_args(kind) else None
    if isinstance(value, tuple):
        return [to_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {unicode(key): to_plain(entry) for key, entry in value.items()}
    return _fields(value) if dataclasses.is_dataclass(value) else value


def _fields(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    return {name: to_plain(getattr(value, name), hint) for name, hint in _types(kind).items()}


@cache
def _types(kind: Any) -> dict[str, Any]:
    """The type of each field; a `Reading[T]` has a T or nothing."""
    origin = typing.get_origin(kind)
    if origin is Reading:
        return {"value": typing.get_args(kind)[0] | None, "reason": str | None}
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = hints | {name: hints[name] | None for name in MAY_BE_NAN.get(kind, ())}
    return found


def revive(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind`, a type of the model: dataclass, tuple, dict, union or scalar.

    Raises Misfit, which names the place, where a field is missing, unknown or of another type.
    """
    try:
        return _reader(kind)(value)
    except Misfit as misfit:
        raise misfit.below(where) from None


Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> Reader:
    """What reads a `kind`, made once: a fleet has ten thousand reports of thousands of values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _union(kind, arguments)
    if dataclasses.is_dataclass(origin or kind):
        return _object(kind)
    if origin is tuple:
        return _list(_reader(arguments[0]))
    if origin is dict:
        return _mapping(_reader(arguments[1]))
    return _verdict if kind is Verdict else _scalar(kind)


def _union(kind: Any, arguments: tuple[Any, ...]) -> Reader:
    """One of several scalars, or a dataclass that may be missing."""
    found = [each for each in arguments if dataclasses.is_dataclass(each)]
    if not found:
        return _scalar(kind)
    reader = _reader(found[0])  # type: ignore[arg-type]
    return lambda value: None if value is None else reader(value)


def _object(kind: Any) -> Reader:
    hints, make = _types(kind), typing.get_origin(kind) or kind
    names = hints.keys()
    rows = tuple((name, _exact(hint), _reader(hint)) for name, hint in hints.items())
    nullable = [at for at, name in enumerate(names) if name in MAY_BE_NAN.get(kind, ())]

    def read(value: Any) -> Any:
        """The dataclass; raises Misfit as `revive` does."""
        if not isinstance(value, dict) or value.keys() != names:
            _hold_fields(value, names)
        found, name = [], ""
        try:
            for name, exact, reader in rows:
                each = value[name]
                found.append(each if type(each) in exact else reader(each))
        except Misfit as misfit:
            raise misfit.below(f".{name}") from None
        for at in nullable:
            found[at] = math.nan if found[at] is None else found[at]
        return make(*found)

    return read


def _hold_fields(value: Any, names: Set[str]) -> None:
    if not isinstance(value, Mapping):
        raise Misfit(f"is not an object but {value!r:.40}")
    if odd := sorted(value.keys() ^ names):
        what = "is missing" if odd[0] in names else "is not a field"
        raise Misfit(what, f".{odd[0]}")


def _list(reader: Reader) -> Reader:
    exact = _scalar(list)

    def read(value: Any) -> Any:
        """The tuple; raises Misfit with the place of the entry."""
        entries, found = exact(value), []
        try:
            for each in entries:
                found.append(reader(each))
        except Misfit as misfit:
            raise misfit.below(f"[{len(found)}]") from None
        return tuple(found)

    return read


def _mapping(reader: Reader) -> Reader:
    exact = _scalar(dict)

    def read(value: Any) -> Any:
        """Every entry read; a misfit names the entry."""
        entries, found, name = exact(value).items(), {}, ""
        try:
            for name, each in entries:
                found[name] = reader(each)
        except Misfit as misfit:
            raise misfit.below(f".{name}") from None
        return found

    return read


_VERDICTS = {verdict.value: verdict for verdict in Verdict}


def _verdict(value: Any) -> Verdict:
    found = _VERDICTS.get(value) if isinstance(value, str) else None
    if found is None:
        raise Misfit(f"is {value!r:.40}, not one of {', '.join(Verdict)}")
    return found


def _exact(kind: Any) -> frozenset[type]:
    """The types that need no closer look as `kind`; none where it is no scalar."""
    allowed = frozenset(typing.get_args(kind) or (kind,))
    if not allowed <= {str, int, float, bool, types.NoneType}:
        return frozenset()
    return allowed | {int} if float in allowed else allowed


def _scalar(kind: Any) -> Reader:
    allowed = typing.get_args(kind) or (kind,)
    accepted = kind | int if float in allowed else kind
    name = getattr(kind, "__name__", kind)

    def read(value: Any) -> Any:
        # To Python True is a number; to a reader of JSON it is none.
        if isinstance(value, accepted) and (bool in allowed or not isinstance(value, bool)):
            return value
        raise Misfit(f"is {value!r:.40}, not of type {name}")

    return read


# JSON of which every number has its place in a float, whoever wrote it.

MOST_DIGITS = 20  # of a whole number; int() alone takes thousands
_SHOWN = 24  # characters of a number that is refused


class NoNumber(ValueError):
    """A number that jaxpad would not have written."""


def loads(text: str) -> Any:
    """The content of `text`.

    Raises NoNumber for NaN, infinity and what is too large for a float, ValueError for what is no
    JSON, and RecursionError for what nests without end.
    """
    return json.loads(text, parse_constant=_constant, parse_int=_int, parse_float=_float)


def _constant(word: str) -> None:
    raise NoNumber(f"it holds {word}, which is no number in JSON")


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise NoNumber(f"it holds a number of {len(text):,} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise NoNumber(f"it holds {shown}, which is too large a number")
    return value
