"""Numbers that are far from those of their peers, by median and MAD.

A number is an outlier if it is both more than so many robust standard deviations from the
median, and more than a part of the median away from it: the first knows how much these
numbers vary, the second keeps a GPU from being blamed for a per cent where all others are
the same. A robust standard deviation is 1.4826 times the median absolute deviation, as for
numbers of a normal distribution: https://doi.org/10.1080/01621459.1993.10476408. Half of
the peers may be wrong before it misleads.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jaxpad.bounds import Bounds
from jaxpad.fleet._digest import Digest
from jaxpad.fleet._model import Distribution, Outlier
from jaxpad.fleet._series import Series
from jaxpad.shares import ratio

CONSISTENT = 1.4826
BINS = 40


@dataclass(frozen=True, slots=True)
class Numbers:
    """One series over the fleet: values, and beside each its node and place."""

    series: Series
    values: list[float]
    owners: list[tuple[Digest, str]]


def lay(digests: Iterable[Digest]) -> tuple[Numbers, ...]:
    """Every series with all its values."""
    found: dict[Series, Numbers] = {}
    # Nodes of one make have one layout: its series are looked up once.
    columns: dict[int, list[tuple[Numbers, str]]] = {}
    for one in digests:
        column = columns.get(id(one.layout))
        if column is None:
            column = [(found.setdefault(s, Numbers(s, [], [])), p) for s, p in one.layout]
            columns[id(one.layout)] = column
        for (numbers, place), value in zip(column, one.values, strict=True):
            numbers.values.append(value)
            numbers.owners.append((one, place))
    return tuple(found.values())


@dataclass(frozen=True)
class Middle:
    """The middle of many numbers, and how far they are from it."""

    median: float
    deviation: float


def middle(values: Sequence[float]) -> Middle:
    """Median, and 1.4826 times the median absolute deviation from it."""
    centre = _median(sorted(values))
    return Middle(centre, CONSISTENT * _median(sorted(abs(value - centre) for value in values)))


def _median(ordered: Sequence[float]) -> float:
    at = len(ordered) // 2
    # Halves first: two numbers of 1e308 have no sum.
    return ordered[at] if len(ordered) % 2 else ordered[at - 1] / 2 + ordered[at] / 2


def compared(numbers: Numbers, bounds: Bounds) -> tuple[Distribution | None, tuple[Outlier, ...]]:
    """How the numbers are spread, and who is outside; nothing for too few to compare."""
    if len(numbers.values) - 1 < bounds["outlier_peers_least"].value:
        return None, ()
    found = middle(numbers.values)
    return _spread(numbers, found), tuple(_outside(numbers, found, bounds))


def _outside(numbers: Numbers, found: Middle, bounds: Bounds) -> Iterator[Outlier]:
    series, centre = numbers.series, found.median
    if centre == 0:
        return  # no part of nothing
    part = "outlier_distance_least" if series.rate else "outlier_other_least"
    near = bounds[part].value * abs(centre)
    limit = max(near, bounds["outlier_deviations_least"].value * found.deviation)
    for value, (one, place) in zip(numbers.values, numbers.owners, strict=True):
        if abs(value - centre) <= limit:
            continue
        yield Outlier(
            node=one.name,
            place=place,
            what=series.what,
            model=series.model,
            value=value,
            unit=series.unit,
            median=centre,
            deviations=_deviations(value, found),
            peers=len(numbers.values) - 1,
            slow=series.rate and value < centre,
        )


def _deviations(value: float, found: Middle) -> float | None:
    """How many from the middle; None where that is no number."""
    many = abs(value - found.median) / found.deviation if found.deviation else math.inf
    return many if math.isfinite(many) else None


def _spread(numbers: Numbers, found: Middle) -> Distribution:
    values, series = numbers.values, numbers.series
    least, most = min(values), max(values)
    counts = [0] * BINS
    step = (most / BINS - least / BINS) or 1.0
    for value in values:
        counts[min(BINS - 1, int(ratio(value / 2 - least / 2, step / 2) or 0.0))] += 1
    return Distribution(
        what=series.what,
        model=series.model,
        unit=series.unit,
        nodes=len({one.name for one, _ in numbers.owners}),
        samples=len(values),
        least=least,
        median=found.median,
        deviation=found.deviation,
        most=most,
        counts=tuple(counts),
    )
