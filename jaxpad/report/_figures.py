"""Numbers, facts and times as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxpad.results import Fact, Measurement
from jaxpad.shares import clip

_LONG = 1e15  # from here on digits are no figures
LONGEST_S = 1e9  # thirty years
HIGHEST = 1e30  # that is drawn: matplotlib needs room beyond the end of an axis
_FAR = 1e300  # from here on a number is cut before it is added to others


def plural(count: int, noun: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def one_line(text: str) -> str:
    """Several lines as one; a command in a remedy may stand on a line of its own."""
    return " ".join(text.split())


def number(value: float | str) -> str:
    """A measured value for people: four figures, thousands marked."""
    if isinstance(value, str):
        return value
    try:
        return f"{value:,.0f}" if 1000 <= abs(value) < _LONG else f"{value:.4g}"
    except OverflowError:  # a whole number may be larger than any float
        return f"a number of {value.bit_length():,} bits" if isinstance(value, int) else str(value)


def brief(value: float) -> str:
    """Three figures, which say enough in a sentence or a picture."""
    return number(float(f"{value:.3g}"))


def measured(found: Measurement) -> str:
    """`gemm 812.3 GFLOP/s ± 3.1, held to at least 500`."""
    spread = "" if found.spread is None else f" ± {number(found.spread)}"
    gate = f", held to {found.gate}" if found.gate else ""
    return f"{found.name} {number(found.value)} {found.unit}".rstrip() + spread + gate


def known(fact: Fact) -> str:
    """A fact's value, or why there is none."""
    return fact.value if fact.value is not None else fact.reason or "unknown"


def moment(started: str) -> str:
    """`2026-05-04 12:00:00 UTC` for an ISO 8601 time in UTC; another text as it is."""
    date, _, clock = started.partition("T")
    return f"{date} {clock[:8]} UTC" if clock else started or "unknown"


def duration(seconds: float) -> str:
    """`0.42 s`, `38 s`, `2 min 5 s`; what is no time of a run as the number that it is."""
    if not abs(seconds) < LONGEST_S:
        return f"{seconds:.3g} s"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def clock(seconds: float) -> str:
    """`3:20`, minutes and seconds after the start; what is no time of a run as a number."""
    if not abs(seconds) < LONGEST_S:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def mean(values: Sequence[float]) -> float:
    """Of what any sensor reads: the sum of what floats just hold is more than one holds."""
    return math.fsum(clip(value, _FAR) for value in values) / len(values)
