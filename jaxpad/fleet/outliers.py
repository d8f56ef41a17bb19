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
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jaxpad.core.bounds import Bounds
from jaxpad.core.text import number, percent, plural, ratio
from jaxpad.fleet.digest import NOT_SET, Digest, Series, Trait
from jaxpad.fleet.model import Difference, Distribution, Drift, Outlier

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


# All that is far from its peers on one GPU, or on one node as a whole, told as one.


@dataclass(frozen=True)
class OutlierGroup:
    """The outliers of one place, the farthest first."""

    node: str
    place: str
    slow: bool
    outliers: tuple[Outlier, ...]

    @property
    def worst(self) -> Outlier:
        return self.outliers[0]

    @property
    def where(self) -> str:
        """`n3, GPU 5`."""
        return f"{self.node}, {self.place}" if self.place else self.node

    @property
    def words(self) -> str:
        """What is far, by how much, in a sentence without its subject and full stop."""
        worst, count = self.worst, len(self.outliers)
        what = "is slower than its peers" if self.slow else "differs from its peers"
        many = f"in {plural(count, 'number')}, most " if count > 1 else ""
        return f"{what} {many}in {worst.what}: {number(worst.value)} {worst.unit}, {away(worst)}"


def far(outliers: Iterable[Outlier]) -> tuple[OutlierGroup, ...]:
    """Grouped by place, in the order of the farthest of each."""
    found: dict[tuple[str, str, bool], list[Outlier]] = {}
    for each in outliers:
        found.setdefault((each.node, each.place, each.slow), []).append(each)
    return tuple(OutlierGroup(*key, tuple(group)) for key, group in found.items())


def away(outlier: Outlier) -> str:
    """`45 % below the median 697 of 80`."""
    way = "below" if outlier.value < outlier.median else "above"
    part = percent(abs(outlier.distance))
    return f"{part} {way} the median {number(outlier.median)} of {outlier.peers + 1:,}"


# Versions, flags and settings that differ between nodes: the majority, and who is not of it.

MOST_VALUES = 50  # of one setting; where each node has its own, that is no drift


def drift(digests: Iterable[Digest]) -> tuple[Drift, ...]:
    """Each setting that is not the same everywhere."""
    makes: dict[tuple[Trait, ...], list[str]] = {}
    for one in digests:
        makes.setdefault(one.traits, []).append(one.name)
    settings = [(dict(traits), nodes) for traits, nodes in makes.items()]
    names = dict.fromkeys(name for traits, _ in settings for name in traits)
    told = (_one(name, settings) for name in names)
    return tuple(each for each in told if each)


def _one(name: str, settings: list[tuple[dict[str, str], list[str]]]) -> Drift | None:
    found: dict[str, list[str]] = {}
    for traits, nodes in settings:
        found.setdefault(traits.get(name, NOT_SET), []).extend(nodes)
    if len(found) < 2 or _own(found):
        return None
    sizes = Counter({value: len(nodes) for value, nodes in found.items()})
    (majority, count), *_ = sizes.most_common(1)
    return Drift(name, majority, count, tuple(_others(found, majority)))


def _own(found: dict[str, list[str]]) -> bool:
    """Whether so many values are about that each node has its own, as a path or a name."""
    nodes = sum(map(len, found.values()))
    return len(found) > MOST_VALUES and len(found) > nodes / 2


def _others(found: dict[str, list[str]], majority: str) -> Iterator[Difference]:
    for value, nodes in sorted(found.items(), key=lambda pair: -len(pair[1])):
        if value != majority:
            yield Difference(value, tuple(sorted(nodes)))
