"""Dataclasses as JSON data, and back with every type checked."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from jaxpad.nvml._reading import Reading
from jaxpad.report._text import unicode
from jaxpad.results import Rate
from jaxpad.verdict import Verdict

# A program can give NaN, and JSON has none: null stands for it here.
MAY_BE_NAN: dict[type, frozenset[str]] = {Rate: frozenset({"median", "spread"})}


class Misfit(ValueError):
    """Data of another shape than the model's: where, and what is wrong there."""


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
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _revive_union(kind, arguments, value, where)
    if dataclasses.is_dataclass(origin or kind):
        return _revive_fields(kind, value, where)
    if origin is tuple:
        entries = enumerate(_scalar(list, value, where))
        return tuple(revive(arguments[0], entry, f"{where}[{at}]") for at, entry in entries)
    if origin is dict:
        pairs = _scalar(dict, value, where).items()
        return {name: revive(arguments[1], entry, f"{where}.{name}") for name, entry in pairs}
    return _verdict(value, where) if kind is Verdict else _scalar(kind, value, where)


def _revive_union(kind: Any, arguments: tuple[Any, ...], value: Any, where: str) -> Any:
    """One of several scalars, or a dataclass that may be missing."""
    found = [each for each in arguments if dataclasses.is_dataclass(each)]
    if not found:
        return _scalar(kind, value, where)
    return None if value is None else revive(found[0], value, where)


def _revive_fields(kind: Any, value: Any, where: str) -> Any:
    hints = _types(kind)
    if not isinstance(value, Mapping):
        raise Misfit(f"{where} is not an object but {value!r:.40}")
    if odd := sorted(value.keys() ^ hints.keys()):
        what = "is missing" if odd[0] in hints else "is not a field"
        raise Misfit(f"{where}.{odd[0]} {what}")
    found = {name: revive(hints[name], value[name], f"{where}.{name}") for name in hints}
    lacking = {name: math.nan for name in MAY_BE_NAN.get(kind, ()) if found[name] is None}
    return (typing.get_origin(kind) or kind)(**found | lacking)


def _verdict(value: Any, where: str) -> Verdict:
    try:
        return Verdict(value)
    except ValueError:
        raise Misfit(f"{where} is {value!r:.40}, not one of {', '.join(Verdict)}") from None


def _scalar(kind: Any, value: Any, where: str) -> Any:
    allowed = typing.get_args(kind) or (kind,)
    accepted = kind | int if float in allowed else kind
    # To Python True is a number; to a reader of JSON it is none.
    if isinstance(value, accepted) and (bool in allowed or not isinstance(value, bool)):
        return value
    raise Misfit(f"{where} is {value!r:.40}, not of type {getattr(kind, '__name__', kind)}")
