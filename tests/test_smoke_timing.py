"""Checks that read a clock: each finds the clock it is for, and none fails a busy machine.

Clocks that do not wait are planted in the suite itself. Busy machines are simulated: a time is
the work's own, and what pauses add to it.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad import checks
from jaxpad.core.results import Rate
from jaxpad.throughput import Batch, Clock, Taking, scales, steadiest, waits
from jaxpad.throughput.measure import _all_at_once, _Seat
from jaxpad.throughput.trust import LEAST, MOST

# The checks of the suite, as they are, over a Clock with a fault in it, some times each.
PLANTED = """
import json, sys, time
import pytest
from jaxpad import checks
from jaxpad.throughput import Batch, Clock, measure as _clock

def hasty(self, calls):
    begun = time.monotonic()
    for call in range(calls):
        self.step(call)
    return Batch(calls, begun, time.monotonic())

class Deaf:
    block_until_ready = staticmethod(lambda result: result)

if sys.argv[1] == "hasty":
    Clock.batch = hasty
elif sys.argv[1] == "deaf":  # the clock asks, and jax.block_until_ready does not wait
    _clock.jax = Deaf

sys.path.insert(0, "smoke_tests")
import test_throughput

told = {"test_wait_matters": [], "test_gemm_scales": []}
for name, found in told.items():
    for _ in range(int(sys.argv[2])):
        try:
            getattr(test_throughput, name)()
            found.append(["pass", "", ""])
        except checks.Failed as failed:
            found.append(["fail", str(failed), failed.remedy])
        except checks.Inconclusive as unsure:
            found.append(["inconclusive", str(unsure), unsure.remedy])
print(json.dumps(told))
"""


# The checks of the suite that wait for a process, where none answers in time.
LATE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from jaxpad import checks

checks.CHILD_S = 0.01
sys.path.insert(0, "smoke_tests")
import test_debugging, test_environment, test_jit, test_profile

folder = Path(sys.argv[1])
started = SimpleNamespace(started=SimpleNamespace(error=None), not_started=None)
told = {}
for name, check in {
    "jdb": lambda: test_debugging.drive_jdb(folder, "continue"),
    "cache": lambda: test_jit.run_cache_user(folder, checks.Deadline(), "2"),
    "accepted": test_environment.test_flags_accepted,
    "in effect": lambda: test_environment.test_flags_in_effect(started, print),
    "profiles": test_profile.test_profiles_accepted,
}.items():
    try:
        check()
    except checks.Inconclusive as unsure:
        told[name] = [str(unsure), unsure.remedy]
print(json.dumps(told))
"""


def planted(clock: str, times: int) -> dict[str, list[list[str]]]:
    """Verdict, reason and remedy of the suite's checks on the clock, each time."""
    told: dict[str, list[list[str]]] = printed(PLANTED, clock, str(times))
    return told


def printed(script: str, *words: str) -> Any:
    """What a script prints last, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *words],
        env=environ(JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("clock", ["hasty", "deaf"])
def test_a_clock_that_does_not_wait_fails(clock: str) -> None:
    told = planted(clock, 3)
    for verdict, reason, remedy in told["test_wait_matters"]:
        assert verdict == "fail"
        assert reason.startswith("the clock stopped before the last result was there, in ")
        assert "wait with jax.block_until_ready" in remedy
    for verdict, reason, remedy in told["test_gemm_scales"]:
        assert verdict in ("fail", "inconclusive")  # never a pass, whatever else runs here
        assert reason.startswith("8 times the work took ")
        assert remedy


def test_the_clock_passes() -> None:
    """Where the machine is too busy to tell, how the time grows may stay open; the rest may not."""
    told = {name: {one[0] for one in found} for name, found in planted("own", 3).items()}
    assert told["test_wait_matters"] == {"pass"}, told
    assert told["test_gemm_scales"] <= {"pass", "inconclusive"}, told


def test_a_late_process_fails_no_check(tmp_path: Path) -> None:
    """A hang and a busy machine look alike: inconclusive, which is no pass either."""
    told = printed(LATE, str(tmp_path))
    assert set(told) == {"jdb", "cache", "accepted", "in effect", "profiles"}
    for reason, remedy in told.values():
        assert "did not answer within 0.01 s: it hangs, or this machine is too busy" in reason
        assert remedy.startswith("see what else runs here")


SLICE_S = 0.003  # for which a busy scheduler lets a program run


class Machine:
    """Takes its time: `pause` seconds at most, each time another program has a turn."""

    def __init__(self, seed: int, pause: float) -> None:
        self._random = random.Random(seed)
        self._pause = pause

    def taking(self, work_s: float, ready: bool = True) -> Callable[[], Taking]:
        """Takings of so much work, which ends ready or not."""

        def take() -> Taking:
            turns = int(work_s / SLICE_S + self._random.random())
            waited = sum(self._random.uniform(0, self._pause) for _ in range(turns))
            return Taking(work_s * self._random.uniform(1, 1.2) + waited, ready)

        return take


def verdict(machine: Machine, small_s: float, large_s: float) -> str:
    try:
        scales(machine.taking(small_s), machine.taking(large_s), 8)
    except checks.Failed:
        return "fail"
    except checks.Inconclusive:
        return "inconclusive"
    return "pass"


SEEDS = range(300)
PAUSES = (0.0, 0.004, 0.04, 0.4)  # none, one neighbour, ten, a hundred


def verdicts(pause: float, small_s: float, large_s: float) -> Counter[str]:
    """What came of each machine of such pauses, for two sizes that take it so long."""
    return Counter(verdict(Machine(seed, pause), small_s, large_s) for seed in SEEDS)


@pytest.mark.parametrize("pause", PAUSES)
def test_a_busy_machine_never_fails(pause: float) -> None:
    """Products of 4 and 28 ms of CPU, on a machine that shares it."""
    found = verdicts(pause, 0.004, 0.028)
    assert found["fail"] == 0
    assert found["pass"] >= 0.99 * len(SEEDS), found


@pytest.mark.parametrize("pause", PAUSES)
def test_a_clock_of_the_dispatch_never_passes(pause: float) -> None:
    """Both take 0.2 ms, however busy the machine; an idle one tells that the clock is wrong."""
    found = verdicts(pause, 2e-4, 2e-4)
    assert found["pass"] == 0
    assert found["fail"] >= 0.99 * len(SEEDS), found


def test_a_machine_too_busy_to_tell_is_inconclusive() -> None:
    """Every time is pauses, and the best two of a size are nothing to go by."""
    uneven = iter([0.010, 0.050] * MOST)
    with pytest.raises(checks.Inconclusive, match="this machine is too busy to tell") as told:
        scales(lambda: Taking(next(uneven), True), lambda: Taking(0.015, True), 8)
    assert "a quarter of the small ones took 50 ms or more" in str(told.value)
    assert "nothing else uses the CPU" in told.value.remedy


def test_one_early_stop_is_enough() -> None:
    """By order, not by time: one batch whose result was not there convicts the clock."""
    takings = iter([Taking(9.0, True)] * (LEAST - 1) + [Taking(9.0, False)])
    with pytest.raises(checks.Failed, match=f"in 1 of {LEAST} batches"):
        waits(lambda: next(takings))
    waits(lambda: Taking(1e-9, True))


def test_a_swinging_rate_is_taken_again() -> None:
    spreads = iter([15.0, 12.0, 4.0, 99.0])
    assert steadiest(lambda: [rate(next(spreads))])[0].spread == 4.0
    spreads = iter([15.0, 12.0, 13.0, 4.0])  # not for ever
    assert steadiest(lambda: [rate(next(spreads))])[0].spread == 12.0
    spreads = iter([math.nan, 4.0])  # nor is what is no number taken for steady
    assert steadiest(lambda: [rate(next(spreads))])[0].spread == 4.0
    medians = iter([0.0, 10.0])
    assert steadiest(lambda: [replace(rate(4.0), median=next(medians))])[0].median == 10.0
    spreads = iter([15.0])  # a CPU is not asked
    assert steadiest(lambda: [rate(next(spreads), "cpu")])[0].spread == 15.0


def rate(spread: float, platform: str = "gpu") -> Rate:
    return Rate("copy", "fp32", 0, platform, False, 10.0, spread, "GB/s", 9, 0.0, 1.0)


def test_a_seat_that_stands_still_is_waited_for() -> None:
    """One seat begins late, and meanwhile the other stands still: both have their batches."""
    ahead, began, done = (threading.Event() for _ in range(3))
    calls = {"eager": 0, "late": 0}

    def eager(_: int) -> None:
        calls["eager"] += 1
        if calls["eager"] == 20:
            ahead.set()
            began.wait(60)
            done.wait(2)  # until the late one has had a hundred batches

    def late(_: int) -> None:
        calls["late"] += 1
        if calls["late"] == 100:
            done.set()

    class Late(Clock):
        def batch(self, calls: int) -> Batch:
            ahead.wait(60)
            began.set()
            return super().batch(calls)

    seats = [_Seat(None, "cpu", Clock(eager, "cpu"), 1), _Seat(None, "cpu", Late(late, "cpu"), 1)]
    timed = _all_at_once(seats, 4)
    assert min(len(found) for found in timed) >= 4
