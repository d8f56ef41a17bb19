"""A part of a whole, whatever the two are."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from jaxpad.core.text import MOST, clip, percent, ratio


@given(st.floats(), st.floats())
def test_ratio_is_finite_or_none(part: float, whole: float) -> None:
    found = ratio(part, whole)
    none = not math.isfinite(part) or not math.isfinite(whole) or whole <= 0
    assert (found is None) == none
    assert found is None or -MOST <= found <= MOST


@given(st.floats())
def test_every_share_has_short_words(share: float) -> None:
    for digits in (0, 1):
        words = percent(share, digits)
        assert words.endswith(" %") or words == "no number"
        assert len(words) < 20


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (672, 1000, "67 %"),
        (1.0, 5e-324, "over 1,000,000 %"),
        (-1.0, 5e-324, "under -1,000,000 %"),
        (45, 1, "4,500 %"),
        (0, 5, "0 %"),
    ],
)
def test_share_in_words(part: float, whole: float, words: str) -> None:
    found = ratio(part, whole)
    assert found is not None
    assert percent(found) == words


def test_clip_keeps_holes() -> None:
    assert clip(math.inf, 10) == 10
    assert clip(-math.inf, 10) == -10
    assert clip(3.5, 10) == 3.5
    assert math.isnan(clip(math.nan, 10))
