"""Numbers at the ends of what a float holds, over a fleet: no comparison and no picture breaks."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import cast

from hypothesis import example, given, settings, strategies as st

from jaxpad.core import bounds
from jaxpad.core.markup import figure
from jaxpad.fleet.chart import Spread, chart
from jaxpad.fleet.digest import Digest, Series
from jaxpad.fleet.outliers import Numbers, away, compared, far
from properties import share

MOST, LEAST = sys.float_info.max, 5e-324
SERIES = Series("gemm bf16", "h100-sxm", "TFLOP/s", True)
values = st.lists(
    st.sampled_from((0.0, LEAST, 2e-322, 1e-300, 1.0, 1.01, 700.0, 1e300, MOST, -1.0, -MOST)),
    min_size=8,
    max_size=12,
)


def over(found: list[float]) -> Numbers:
    """The same number of as many nodes."""
    owners = [(SimpleNamespace(name=f"n{at}"), "GPU 0") for at in range(len(found))]
    return Numbers(SERIES, found, cast("list[tuple[Digest, str]]", owners))


@example([0.0] * 7 + [2e-322])  # whose forty parts have no half
@example([0.0] * 4 + [LEAST] * 4)
@example([-MOST] * 4 + [MOST] * 4)
@given(values)
def test_no_number_costs_the_comparison(found: list[float]) -> None:
    spread, outliers = compared(over(found), bounds.load())
    assert spread is not None
    assert sum(spread.counts) == len(found)
    for one in far(outliers):
        assert one.worst.what in one.words
        assert len(away(one.worst)) < 60
    assert all(each.deviations is None or math.isfinite(each.deviations) for each in outliers)


@example([1.0] * 7 + [MOST])
@example([1.0] * 7 + [1.0000001])
@example([-MOST] * 6 + [0.0, MOST])
@settings(max_examples=share(25))  # a picture takes a tenth of a second
@given(values)
def test_no_number_costs_a_picture(found: list[float]) -> None:
    spread, outliers = compared(over(found), bounds.load())
    assert spread is not None
    drawn = figure(chart(Spread(spread, outliers), "spread"), pictures=True)
    assert "Not drawn" not in drawn
    assert "<svg" in drawn
