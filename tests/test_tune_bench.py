"""The bench with real processes: what it measures, what it refuses, what it survives."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers import HOME
from jaxpad.core.results import UsageError
from jaxpad.tune import spaces
from jaxpad.tune.alike import differs
from jaxpad.tune.measure import Bench, Side
from jaxpad.tune.model import Candidate, Effort, End, Measured, Pair, Ratio, Step
from jaxpad.tune.spaces import between, disturbed, now
from tune_steps import FLAG

EFFORT = Effort(turn_s=0.01, pairs=8, least=8, starts=3, start_pairs=4, waiting=9.0)
FLAGGED = Candidate.of({FLAG: "1"})
CALM = {"wall": 1.0, "own": 1.0, "waiting": 0.0, "busy": 1.0, "stolen": 0.0, "throttled": 0.0}


@pytest.fixture(autouse=True)
def own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{HOME}:{HOME / 'tests'}")


@pytest.fixture
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair counts: what a hypervisor takes from the machine under test is none of its."""
    monkeypatch.setattr(spaces, "disturbed", lambda *_: "")


def bench(step: str, effort: Effort = EFFORT) -> Bench:
    return Bench(Step(f"tune_steps:{step}"), effort)


def test_donated_arguments_are_fed_on(undisturbed: None) -> None:
    seen: list[Pair] = []
    with Bench(Step("tune_steps:donating"), EFFORT, watcher=seen.append) as opened:
        found = opened.measure(FLAGGED, "d", seed=1, best=None)
    assert found.end in (End.MEASURED, End.STOPPED)
    assert found.ratio
    assert found.ratio.low <= found.ratio.value <= found.ratio.high
    assert found.pairs == tuple(seen)
    assert 0.1 < found.startup < 120
    assert all(0 < pair.baseline < 1 for pair in found.pairs)


def test_hopeless_is_stopped_early(undisturbed: None) -> None:
    with bench("planted", replace(EFFORT, pairs=60)) as opened:
        found = opened.measure(FLAGGED, "d", seed=1, best=Ratio(9.0, 8.0, 10.0))
    assert found.end is End.STOPPED
    assert len(found.pairs) == EFFORT.least


def test_confirmation_starts_anew(undisturbed: None) -> None:
    """A second look, of as many starts again, only where the first speaks for the candidate."""
    with bench("planted") as opened:
        found = opened.confirm(FLAGGED, "d", seed=5)
        again = opened.measure(FLAGGED, "d", seed=1, best=None)
    assert found.end is End.MEASURED
    assert found.seed == 5
    assert again.pairs
    looks = len(found.pairs) / (EFFORT.starts * EFFORT.start_pairs)
    assert looks in (1, 2)
    assert found.ratio
    assert looks == 2 or found.ratio.faster or found.ratio.value <= 1.0


@pytest.mark.parametrize(("speeds", "starts"), [([1.1], 3), ([0.9], 3), ([1.1, 1.1, 1.0], 6)])
def test_second_look(speeds: list[float], starts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """None for what is proven, and none for what is behind."""
    seeds: list[int] = []

    def start(_bench: Bench, candidate: Candidate, digest: str, seed: int) -> Measured:
        speed = speeds[len(seeds) % len(speeds)] + 0.001 * len(seeds)
        seeds.append(seed)
        pairs = (Pair(speed, 1.0),) * EFFORT.start_pairs
        return Measured(candidate, digest, End.MEASURED, None, pairs, seed=seed)

    monkeypatch.setattr(Bench, "_start", start)
    found = bench("planted").confirm(FLAGGED, "d", seed=7)
    assert seeds == list(range(7, 7 + starts))
    assert found.seed == 7
    assert len(found.pairs) == starts * EFFORT.start_pairs


def test_one_core_by_turns(undisturbed: None) -> None:
    """A step that keeps to one core gets each core in its turn, and both sides the same one."""
    with bench("planted") as opened:
        seen: list[tuple[Side, tuple[int, ...]]] = []
        turn = Side.turn

        def watched(side: Side, steps: int, limit: float, cores: Sequence[int] = ()) -> object:
            seen.append((side, tuple(cores)))
            return turn(side, steps, limit, cores)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Side, "turn", watched)
            opened.measure(FLAGGED, "d", seed=1, best=None)
    every = sorted(os.sched_getaffinity(0))
    told = [one for one in seen if one[1]]
    assert len(told) == 2 * EFFORT.pairs
    for number, (one, other) in enumerate(zip(told[::2], told[1::2], strict=True)):
        assert one[1] == other[1] == (every[number // 4 % len(every)],)
        assert one[0] is not other[0]
    first = [one[0] for one in told[::2]]
    assert [side is first[0] for side in first[:4]] == [True, False, False, True]


def test_wrong_results_are_rejected() -> None:
    with bench("wrong") as opened:
        found = opened.measure(FLAGGED, "d", seed=1, best=None)
    assert (found.end, found.ratio, found.pairs) == (End.WRONG, None, ())
    assert "apart by" in found.reason


def test_crash_is_one_candidates() -> None:
    with bench("crash") as opened:
        found = opened.measure(FLAGGED, "d", seed=1, best=None)
        after = opened.measure(Candidate(), "d", seed=1, best=None)
    assert found.end is End.FAILED
    assert "SIGABRT" in found.reason
    assert after.pairs


@contextmanager
def foreign_load() -> Iterator[None]:
    """Twice as many busy processes as the machine has cores."""
    argv = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(argv) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_foreign_load_is_disturbed() -> None:
    with bench("planted", replace(EFFORT, waiting=0.02)) as opened, foreign_load():
        found = opened.measure(FLAGGED, "d", seed=1, best=None)
    assert found.end is End.DISTURBED
    assert "others used" in found.reason
    assert "when the machine is at rest" in found.reason


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("raises", "does not run under the baseline"),
        ("nothing", "returns no array"),
        ("moody", "gives other results"),
        ("slow", "one step of tune_steps:slow takes"),
        ("missing", "has no function missing"),
    ],
)
def test_step_at_fault_is_one_sentence(step: str, said: str) -> None:
    effort = replace(EFFORT, slowest_s=0.1) if step == "slow" else EFFORT
    with pytest.raises(UsageError, match=said) as caught, bench(step, effort):
        pass
    assert "\n" not in str(caught.value)


def test_hang_has_a_limit() -> None:
    with (
        pytest.raises(UsageError, match="did not answer within"),
        bench("slow", replace(EFFORT, starting_s=0.2)),
    ):
        pass


def test_processes_end_with_the_bench() -> None:
    with bench("planted") as opened:
        assert opened._base
        pid = opened._base._process.pid
        assert Path(f"/proc/{pid}").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("gained", "said"),
    [
        ({}, ""),
        ({"waiting": 0.5}, ""),  # for its own threads
        ({"waiting": 0.5, "busy": 2.5}, "waited 50% of the time"),
        ({"busy": 2.5}, ""),  # on other cores
        ({"stolen": 0.3}, "the hypervisor took 30%"),
        ({"throttled": 1.0}, "the CPU was throttled"),
    ],
)
def test_load_that_disturbs(gained: dict[str, float], said: str) -> None:
    found = disturbed(CALM | gained, 0.25)
    assert found.startswith(said) if said else not found


def test_counters_go_forward() -> None:
    before = now()
    sum(range(2_000_000))
    gained = between(before, now())
    assert gained["own"] > 0
    assert all(value >= 0 for value in gained.values())


def test_alike_within_the_type() -> None:
    ones = np.ones(8, np.float32)
    small = [("bfloat16", np.float32)]
    assert differs([ones * 1.001], [ones]) == ""
    assert "apart" in differs([ones * 1.01], [ones])
    assert differs([(ones * 1.01).view(small)], [ones.view(small)]) == ""
    assert "NaN" in differs([ones * np.nan], [ones])
    assert "1 of 8 integers" in differs([np.arange(8)], [np.r_[np.arange(7), 9]])
    assert "2 arrays" in differs([ones, ones], [ones])
    assert "(8,)" in differs([ones], [np.ones(7, np.float32)])
