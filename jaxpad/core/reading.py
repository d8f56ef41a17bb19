"""A value, or the reason why there is none."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

GARBAGE = "garbage"
# Every bit set is how drivers and broken boards say "nothing", in 32 and 64 bits.
ALL_ONES = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What one question gave: `value`, or None and the `reason`.

    A reason begins with the name of the error, such as `NVMLError_GpuIsLost`, with
    `garbage` for a value that cannot be, or with `not asked`.
    """

    value: T | None = None
    reason: str | None = None

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return self.reason is None

    @property
    def error(self) -> str | None:
        """The name of the error alone; None where there is a value."""
        return self.reason.partition(":")[0] if self.reason else None

    def map(self, change: Callable[[T], U]) -> Reading[U]:
        """The changed value, or the same reason; a `change` that raises is a reason too."""
        if self.reason is not None:
            return Reading(None, self.reason)
        return attempt(change, self.value)


def attempt(call: Callable[..., Any], *given: Any) -> Reading[Any]:
    """What `call(*given)` gives.

    Every exception counts: WSL answers Unknown, old drivers FunctionNotFound, and NVML's
    library mismatch is not even an NVMLError.
    """
    try:
        return Reading(call(*given))
    except Exception as error:
        return Reading(None, explain(error))


def explain(error: BaseException) -> str:
    """An exception in one line, its name first."""
    return f"{type(error).__name__}: {error}"


def absent(reason: str) -> Reading[Any]:
    """No value, for this reason."""
    return Reading(None, reason)


def plausible(found: Reading[Any], low: float, high: float, unit: str = "") -> Reading[Any]:
    """The reading, or absent if its number cannot be: outside `low` to `high`, in `unit`."""
    value = found.value
    if value is None or (low <= value <= high and value not in ALL_ONES):
        return found
    words = f" {unit}" if unit else ""
    return Reading(None, f"{GARBAGE}: {value}{words} is outside {low:g} to {high:g}")


def first(*questions: Callable[[], Reading[Any]]) -> Reading[Any]:
    """The first reading that has a value, else the first question's reason."""
    found = questions[0]()
    for question in questions[1:]:
        if found.reason is None:
            return found
        other = question()
        found = other if other.reason is None else found
    return found


# Dataclasses of readings as plain data, and back.


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
