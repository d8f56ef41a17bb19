"""A counter that is read again and again: how far it went, over wraps and resets."""

from __future__ import annotations

from collections.abc import Sequence

from jaxpad.nvml._reading import ALL_ONES, Reading, absent

WIDTHS = (32, 64)  # bits


class Counter:
    """Adds up the steps of a counter that cannot go faster than `most_per_s`.

    A step back is a wrap where the step that wraps at 32 or 64 bits is not too fast, else
    a reset, as when the driver is loaded again: what came before the reset is kept and the
    step itself is lost.
    """

    def __init__(self, most_per_s: float) -> None:
        self.most_per_s = most_per_s
        self.total = 0
        self.resets = 0
        self._first_s: float | None = None
        self._last_s = 0.0
        self._last = 0

    def add(self, value: int, at_s: float) -> None:
        """The counter stood at `value` at `at_s`."""
        if self._first_s is None:
            self._first_s = at_s
        else:
            self._step(value, at_s - self._last_s)
        self._last, self._last_s = value, at_s

    def _step(self, value: int, seconds: float) -> None:
        step = value - self._last
        if step < 0:
            # One second of grace: a driver brings its counters up to date now and then.
            step = _wrapped(step, self._last, self.most_per_s * (seconds + 1))
        if step < 0:
            self.resets += 1
        self.total += max(step, 0)

    @property
    def seconds(self) -> float:
        """Between the first and the last value."""
        return 0.0 if self._first_s is None else self._last_s - self._first_s

    def reading(self, reason: str | None = None) -> Reading[int]:
        """How far the counter went; absent, with `reason`, before there are two values."""
        if self._first_s is None or self._last_s == self._first_s:
            return absent(reason or "not asked: the counter was not read twice")
        if self.resets and not self.total:
            return absent("reset: the counter began anew")
        return Reading(self.total)


def counted(most_per_s: float, times: Sequence[float], values: Sequence[float | None]) -> Counter:
    """A counter that was read at `times`; a value that is None or all ones was not read."""
    counter = Counter(most_per_s)
    for at_s, value in zip(times, values, strict=True):
        if value is not None and value not in ALL_ONES:
            counter.add(int(value), at_s)
    return counter


def _wrapped(step: int, last: int, most: float) -> int:
    """The step over a wrap, or the step back as it was where none is likely."""
    steps = (step + (1 << bits) for bits in WIDTHS if last < 1 << bits)
    return next((each for each in steps if 0 <= each <= most), step)
