"""Twenty and twenty searches in real processes: equals name no winner, a tenth faster is found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jaxpad.tune.measure import Bench
from tune_planted import real_bench, winner

RUNS = 20


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with real_bench() as opened:
        yield opened


def test_equal_speed_names_no_winner(bench: Bench) -> None:
    named = [winner(bench, ("1", "2"), seed) for seed in range(RUNS)]
    assert named == [None] * RUNS


def test_a_tenth_faster_is_found(bench: Bench) -> None:
    named = [winner(bench, ("1", "100"), seed) for seed in range(RUNS)]
    assert named.count("100") >= RUNS - 1
    assert set(named) <= {"100", None}
