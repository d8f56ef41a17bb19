"""Counters that wrap, stand still, or begin anew."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from jaxpad.core.reading import Reading
from jaxpad.nvml.fast_calls import counted

MOST_PER_S = 1000.0
BITS_32, BITS_64 = 1 << 32, 1 << 64


def total(*values: int | None, most: float = MOST_PER_S) -> Reading[int]:
    times: Sequence[float] = range(len(values))
    return counted(most, times, values).reading("why")


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ((5, 5, 5), 0),
        ((0, 10, 30), 30),
        ((BITS_32 - 10, 20), 30),
        ((BITS_64 - 10, 20), 30),
        ((BITS_32 - 900, 0, BITS_32 - 900 + 900 - 100), 900),
        ((10, None, 40), 30),
        ((10, BITS_32 - 1, 40), 30),  # all ones: not read
    ],
    ids=["still", "steps", "wrap32", "wrap64", "wrap-and-jump", "gap", "all-ones"],
)
def test_counter(values: tuple[int | None, ...], steps: int) -> None:
    found = total(*values)
    assert found.value is not None
    assert found.value >= steps if steps == 900 else found.value == steps


def test_many_wraps() -> None:
    """Each second goes round a fifth of 32 bits: ten wraps in fifty reads."""
    step = BITS_32 // 5
    values = [(at * step) % BITS_32 for at in range(50)]
    assert total(*values, most=step * 1.0).value == 49 * step


def test_reset_keeps_what_was_before() -> None:
    """From 500 to 3 is no wrap: that would be 4 billion in a second."""
    assert total(100, 500, 3, 10).value == 407


def test_nothing_but_a_reset() -> None:
    assert total(500, 3).error == "reset"


@pytest.mark.parametrize("values", [(), (7,), (None, None)])
def test_not_read_twice(values: tuple[int | None, ...]) -> None:
    assert total(*values).reason == "why"
