"""Searches in real processes: of equally fast programs none wins, one a tenth faster does.

The flag that the steps read costs XLA nothing (tests/tune_steps.py); its values stand for
programs with digests of their own. How often either goes wrong is asked of many searches on a
simulated machine (tests/test_tune_simulated.py) and of forty real ones (tests/release).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jaxpad.tune.measure import Bench
from tune_planted import real_bench, winner


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with real_bench() as opened:
        yield opened


def test_equal_speed_names_no_winner(bench: Bench) -> None:
    assert [winner(bench, ("1", "2"), seed) for seed in range(2)] == [None, None]


def test_a_tenth_faster_is_found(bench: Bench) -> None:
    """In three searches at most: a busy machine may hide it, and names no other then."""
    named: list[str | None] = []
    while "100" not in named and len(named) < 3:
        named.append(winner(bench, ("1", "100"), len(named)))
    assert set(named) <= {"100", None}
    assert "100" in named
