"""Dataclasses as JSON data, and back with every type checked: the one way in and out.

`to_plain` takes apart, `revive` puts together, `schema` describes. What another machine wrote
is read within `Limits`.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from jaxpad.core.reading import GARBAGE, Reading
from jaxpad.core.results import Rate
from jaxpad.core.text import printable, unicode

# A program can give NaN, and JSON has none: null stands for it here.
MAY_BE_NAN: dict[type, frozenset[str]] = {Rate: frozenset({"median", "spread"})}
T = TypeVar("T")
_SCALARS = frozenset({str, int, float, bool, types.NoneType})


class Misfit(ValueError):
    """Data of another shape than the model's: where, and what is wrong there."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(f"{place} {what}".lstrip())
        self.what, self.place = what, place

    def below(self, step: str) -> Misfit:
        """The same, seen from one step further out."""
        return Misfit(self.what, step + self.place)


@dataclass(frozen=True)
class Limits:
    """How much of what anybody may have written is taken: the largest of each kind."""

    text: int  # characters
    entries: int  # of a list or an object
    number: float


def to_plain(value: Any, kind: Any = None) -> Any:
    """Lists, dictionaries, text and finite numbers, ready for JSON.

    JSON has no infinity and no NaN: where `kind` allows text they become words, elsewhere null,
    and a reading of one is garbage.
    """
    if isinstance(value, str):
        return unicode(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if str in typing.get_args(kind) else None
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {unicode(key): to_plain(entry) for key, entry in value.items()}
    return _fields(value) if dataclasses.is_dataclass(value) else value


def _fields(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    if kind is Reading:
        plain = to_plain(value.value)
        lost = plain is None and value.value is not None
        return {"value": plain, "reason": f"{GARBAGE}: {value.value}" if lost else value.reason}
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


def revive(kind: type[T], value: Any, where: str, limits: Limits | None = None) -> T:
    """`value` as `kind`, a type of the model: dataclass, tuple, dict, enum, union or scalar.

    Raises Misfit, which names the place, where a field is missing, unknown, of another type or
    beyond a limit.
    """
    try:
        return typing.cast("T", _reader(kind, limits)(value))  # type: ignore[arg-type]
    except Misfit as misfit:
        raise misfit.below(where) from None


Reader = Callable[[Any], Any]


@cache
def _reader(kind: Any, limits: Limits | None = None) -> Reader:
    """What reads a `kind`, made once: a fleet has ten thousand reports of thousands of values."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value: value
    if origin in (types.UnionType, typing.Union):
        return _union(kind, arguments, limits)
    if dataclasses.is_dataclass(origin or kind):
        return _object(kind, limits)
    if origin is tuple and arguments[-1] is not ...:
        return _row(tuple(_reader(each, limits) for each in arguments))
    if origin is tuple:
        return _list(_reader(arguments[0], limits), limits)
    if origin in (dict, Mapping):
        return _mapping(_reader(arguments[1], limits), limits)
    if isinstance(kind, enum.EnumType):
        return _member(kind)
    if kind not in _SCALARS:
        raise TypeError(f"the codec has no reader of {kind}")
    return _scalar(kind, limits)


def _union(kind: Any, arguments: tuple[Any, ...], limits: Limits | None) -> Reader:
    """One of several scalars, or one thing of another kind that may be missing."""
    found = [each for each in arguments if each not in _SCALARS]
    if not found:
        return _scalar(kind, limits)
    if len(arguments) > 2 or types.NoneType not in arguments:
        raise TypeError(f"the codec has no reader of {kind}")
    reader = _reader(found[0], limits)
    return lambda value: None if value is None else reader(value)


def _object(kind: Any, limits: Limits | None) -> Reader:
    hints, make = _types(kind), typing.get_origin(kind) or kind
    names = hints.keys()
    rows = tuple(
        (name, _exact(hint, limits), _reader(hint, limits)) for name, hint in hints.items()
    )
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
        raise Misfit(what, f".{odd[0]}"[:60])


def _row(readers: tuple[Reader, ...]) -> Reader:
    exact = _scalar(list)

    def read(value: Any) -> Any:
        if len(exact(value)) != len(readers):
            raise Misfit(f"has {len(value)} entries, expected {len(readers)}")
        return tuple(reader(each) for reader, each in zip(readers, value, strict=True))

    return read


def _list(reader: Reader, limits: Limits | None) -> Reader:
    exact = _sized(list, limits)

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


def _mapping(reader: Reader, limits: Limits | None) -> Reader:
    exact, key = _sized(dict, limits), _scalar(str, limits)

    def read(value: Any) -> Any:
        """Every entry read; a misfit names the entry."""
        entries, found, name = exact(value).items(), {}, ""
        try:
            for name, each in entries:
                found[key(name)] = reader(each)
        except Misfit as misfit:
            raise misfit.below(f".{name:.60}") from None
        return found

    return read


def _sized(kind: type[list[Any]] | type[dict[str, Any]], limits: Limits | None) -> Reader:
    exact, most = _scalar(kind), limits.entries if limits else math.inf

    def read(value: Any) -> Any:
        if len(exact(value)) > most:
            raise Misfit(f"has {len(value):,} entries, more than {most:,}")
        return value

    return read


def _member(kind: enum.EnumType) -> Reader:
    members = {each.value: each for each in kind}  # type: ignore[var-annotated]

    def read(value: Any) -> Any:
        found = members.get(value) if isinstance(value, str) else None
        if found is None:
            raise Misfit(f"is {value!r:.40}, not one of {', '.join(members)}")
        return found

    return read


def _exact(kind: Any, limits: Limits | None) -> frozenset[type]:
    """The types that need no closer look as `kind`; none where it is no scalar, or has limits."""
    allowed = frozenset(typing.get_args(kind) or (kind,))
    if limits or not allowed <= _SCALARS:
        return frozenset()
    return allowed | {int} if float in allowed else allowed


def _scalar(kind: Any, limits: Limits | None = None) -> Reader:
    allowed = typing.get_args(kind) or (kind,)
    accepted = kind | int if float in allowed else kind
    name = getattr(kind, "__name__", kind)

    def read(value: Any) -> Any:
        # To Python True is a number; to a reader of JSON it is none.
        if isinstance(value, accepted) and (bool in allowed or not isinstance(value, bool)):
            return _within(value, limits) if limits else value
        raise Misfit(f"is {value!r:.40}, not of type {name}")

    return read


def _within(value: Any, limits: Limits) -> Any:
    if isinstance(value, str):
        if len(value) > limits.text:
            raise Misfit(f"has {len(value):,} characters, more than {limits.text:,}")
        return printable(value)
    if isinstance(value, int | float) and abs(value) > limits.number:
        raise Misfit("is too large a number")
    return value


# The schema that the types give, as JSON Schema has it.

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema of what `to_plain` makes of a `kind`; limits and words are not in it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and arguments[-1] is not ...:
        return {"type": "array", "prefixItems": [schema(each) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": schema(arguments[0])}
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": schema(arguments[1])}
    if dataclasses.is_dataclass(origin or kind):
        fields = {name: schema(hint) for name, hint in _types(kind).items()}
        whole = {"additionalProperties": False, "required": list(fields)}
        return {"type": "object", "properties": fields} | whole
    if isinstance(kind, enum.EnumType):
        return {"type": "string", "enum": [each.value for each in kind]}  # type: ignore[var-annotated]
    if found := [each for each in arguments if each not in _SCALARS]:
        return {"anyOf": [schema(found[0]), {"type": "null"}]}
    names = [_NAMES[each] for each in arguments or (kind,)]
    return {"type": names if len(names) > 1 else names[0]}


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
