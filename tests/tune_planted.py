"""A search of a handful of programs: what a run does with a bench, without the compile stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from helpers import HOME
from jaxpad.tune.measure import Bench
from jaxpad.tune.model import Candidate, Effort, End, Measured, Step
from tune_steps import FLAG

# Turns count however long they waited for a core, so that searches in real processes hold on a
# machine that does other things as well: that is the harder case.
EFFORT = Effort(turn_s=0.015, pairs=12, least=8, start_pairs=8, waiting=9.0)
STEP = Step("tune_steps:planted", baseline=("--xla_cpu_multi_thread_eigen=false",))


@contextmanager
def real_bench() -> Iterator[Bench]:
    """Real processes of tests/tune_steps.py; their flag's values stand for programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HOME / "tests")
        patch.setenv("PYTHONPATH", f"{HOME}:{HOME / 'tests'}")
        with Bench(STEP, EFFORT) as opened:
            yield opened


def winner(bench: Bench, values: Sequence[str], seed: int, flag: str = FLAG) -> str | None:
    """The value that a search names: measure every program, then confirm the best.

    What is behind the baseline is not confirmed.
    """
    best: Measured | None = None
    for value in values:
        candidate = Candidate.of({flag: value})
        bar = best.ratio if best else None
        found = bench.measure(candidate, value, seed=seed, best=bar)
        assert found.end in (End.MEASURED, End.STOPPED), found.reason
        assert found.ratio
        if found.end is End.MEASURED and (not best or _speed(found) > _speed(best)):
            best = found
    if best is None or _speed(best) <= 1.0:
        return None
    confirmed = bench.confirm(best.candidate, best.digest, seed=seed + 1_000_003)
    assert confirmed.end is End.MEASURED, confirmed.reason
    named = confirmed.ratio is not None and confirmed.ratio.faster
    return best.digest if named else None


def _speed(found: Measured) -> float:
    assert found.ratio
    return found.ratio.value
