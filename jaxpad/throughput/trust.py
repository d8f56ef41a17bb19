"""Whether a clock can be trusted: it waits for the result, and more work takes it longer.

JAX promises only that a call may return before its result is there, so no check asks that it
does. A time that was taken once says as much of the neighbours as of the device: whether a
clock waits is judged by order, whether it sees the work by the best of many takings in turn.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax

from jaxpad import checks
from jaxpad.throughput.measure import WARM_UP, Clock
from jaxpad.throughput.program import Program, alone

CALLS = 2  # in a batch: so few that none waits for room in a queue, which would look like a wait
LEAST, MOST = 9, 25  # takings
_FEWER = 4  # eight times the work takes at least 8 / 4 as long: a small call costs more
_REPORT = "file an issue with this smoke.json"
UNTRUSTED = (
    f"trust no rate of this run; install jax, jaxlib and plugin of one version, or {_REPORT}"
)
QUIETER = "see that nothing else uses the CPU or the device, then run it again"
Clocked = Callable[[Callable[[int], Any], str], Clock]


@dataclass(frozen=True)
class Taking:
    """Seconds of a batch, and whether its last result was there when the clock stopped."""

    seconds: float
    ready: bool


@dataclass
class Watched:
    """A clock whose last result is looked at as soon as it stops."""

    step: Callable[[int], Any]
    platform: str
    clocked: Clocked = Clock
    _last: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clock = self.clocked(self._kept, self.platform)
        self._clock.batch(WARM_UP)
        jax.block_until_ready(self._last)

    def take(self) -> Taking:
        """One batch; all is done when this returns, whether or not the clock waited."""
        seconds = self._clock.batch(CALLS).seconds
        ready = all(one.is_ready() for one in self._last)
        jax.block_until_ready(self._last)
        return Taking(seconds, ready)

    def _kept(self, call: int) -> Any:
        result = self.step(call)
        self._last[:] = jax.tree.leaves(result)
        return result


def watched(program: Program, device: Any, clocked: Clocked = Clock) -> Watched:
    """A clock on a program's calls on one device. `clocked` is for tests: another clock."""
    return Watched(program.step(alone(device)), device.platform, clocked)


def waits(take: Callable[[], Taking]) -> None:
    """Raises checks.Failed where a clock stopped before its last result was there.

    No load makes a clock that waits fail this. One that does not may be saved once by a
    pause of its own, so it is looked at LEAST times.
    """
    early = sum(not take().ready for _ in range(LEAST))
    if early:
        raise checks.Failed(
            f"the clock stopped before the last result was there, in {early} of {LEAST} batches: "
            "it times the dispatch, not the device",
            f"wait with jax.block_until_ready before the clock is read; {_REPORT}",
        )


def scales(small: Callable[[], Taking], large: Callable[[], Taking], work: float) -> None:
    """Raises checks.Failed where `work` times the work does not take the clock longer.

    Both are taken in turn, so that a neighbour meets both, and judged by their best, which no
    neighbour makes worse for long. Raises checks.Inconclusive where a quarter of the small ones
    took over twice the best of them: then the best may be none.
    """
    short, long = in_turn(
        (small, large), lambda found: min(found[1]) >= work / _FEWER * min(found[0])
    )
    times = min(long) / min(short)
    if times >= work / _FEWER:
        return
    told = (
        f"{work:g} times the work took {times:.2g} times as long "
        f"({1e3 * min(short):.3g} and {1e3 * min(long):.3g} ms, the best of {len(short)})"
    )
    slow = statistics.quantiles(short, n=4)[2]
    if slow > 2 * min(short):
        swing = f"a quarter of the small ones took {1e3 * slow:.3g} ms or more"
        raise checks.Inconclusive(f"{told}, and {swing}: this machine is too busy to tell", QUIETER)
    raise checks.Failed(f"{told}: the clock does not see the device work", UNTRUSTED)


def in_turn(
    taken: Sequence[Callable[[], Taking]], enough: Callable[[list[list[float]]], bool]
) -> list[list[float]]:
    """Seconds of each, taken in turn at least LEAST times, then until `enough` or MOST times."""
    found: list[list[float]] = [[] for _ in taken]
    for number in range(1, MOST + 1):
        for take, seconds in zip(taken, found, strict=True):
            seconds.append(take().seconds)
        if number >= LEAST and enough(found):
            break
    return found
