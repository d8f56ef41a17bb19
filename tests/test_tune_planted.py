"""Searches in real processes: of equally fast programs none wins, one a tenth faster does.

The flag that the steps read costs XLA nothing (tests/tune_steps.py); its values stand for
programs with digests of their own. Turns count here however long they waited for a core, so
that the tests hold on a machine that does other things as well: that is the harder case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from helpers import HOME
from jaxpad.tune._bench import Bench
from jaxpad.tune._model import Candidate, End, Measured
from jaxpad.tune._step import Effort, Step
from tune_steps import FLAG

RUNS = 20
EFFORT = Effort(turn_s=0.015, pairs=12, least=8, start_pairs=8, waiting=9.0)
STEP = Step("tune_steps:planted", baseline=("--xla_cpu_multi_thread_eigen=false",))


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HOME / "tests")
        patch.setenv("PYTHONPATH", f"{HOME}:{HOME / 'tests'}")
        with Bench(STEP, EFFORT) as opened:
            yield opened


def search(bench: Bench, values: Sequence[int], seed: int) -> tuple[Measured, ...]:
    """Measure every program, then confirm the best unless it is behind."""
    best: Measured | None = None
    for value in values:
        candidate = Candidate.of({FLAG: str(value)})
        bar = best.ratio if best else None
        found = bench.measure(candidate, str(value), seed=seed, best=bar)
        assert found.end in (End.MEASURED, End.STOPPED), found.reason
        assert found.ratio
        if found.end is End.MEASURED and (not best or found.ratio.value > best.ratio.value):  # type: ignore[union-attr]
            best = found
    if best is None or best.ratio is None or best.ratio.value <= 1.0:
        return ()
    return (bench.confirm(best.candidate, best.digest, seed=seed + 1_000_003),)


def winner(confirmed: tuple[Measured, ...]) -> str | None:
    """The value of the candidate that is named."""
    faster = [one for one in confirmed if one.ratio and one.ratio.faster]
    return faster[0].candidate.flags[0][1] if faster else None


def test_equal_speed_names_no_winner(bench: Bench) -> None:
    named = [winner(search(bench, (1, 2), seed)) for seed in range(RUNS)]
    assert named == [None] * RUNS


def test_a_tenth_faster_is_found(bench: Bench) -> None:
    named = [winner(search(bench, (1, 100), seed)) for seed in range(RUNS)]
    assert named.count("100") >= RUNS - 1
    assert set(named) <= {"100", None}
