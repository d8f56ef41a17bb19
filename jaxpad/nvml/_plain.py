"""Dataclasses of readings as plain data, and back."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from functools import cache
from typing import Any, TypeVar

from jaxpad.nvml._reading import Reading

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dictionaries, lists and numbers only, ready for JSON; a reading is `{value, reason}`."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {name: to_plain(entry) for name, entry in value.items()}
    return value


def from_plain(kind: type[T], value: Any) -> T:
    """The dataclass `kind` that `to_plain` took apart.

    Raises KeyError or TypeError for data that another version wrote.
    """
    return _revive(kind, value)  # type: ignore[no-any-return]


def _revive(kind: Any, value: Any) -> Any:
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if value is None or kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _revive(next(each for each in given if each is not type(None)), value)
    if origin is Reading:
        return Reading(_revive(given[0], value["value"]), value["reason"])
    if origin is tuple:
        return tuple(_revive(given[0], entry) for entry in value)
    if origin is dict:
        return {name: _revive(given[1], entry) for name, entry in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return kind(**{name: _revive(hint, value[name]) for name, hint in _hints(kind).items()})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
