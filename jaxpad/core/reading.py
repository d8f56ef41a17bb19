"""A value, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
