"""All that is far from its peers on one GPU, or on one node as a whole, told as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from jaxpad.fleet._model import Outlier
from jaxpad.report._figures import number, plural
from jaxpad.shares import percent


@dataclass(frozen=True)
class Far:
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


def far(outliers: Iterable[Outlier]) -> tuple[Far, ...]:
    """Grouped by place, in the order of the farthest of each."""
    found: dict[tuple[str, str, bool], list[Outlier]] = {}
    for each in outliers:
        found.setdefault((each.node, each.place, each.slow), []).append(each)
    return tuple(Far(*key, tuple(group)) for key, group in found.items())


def away(outlier: Outlier) -> str:
    """`45 % below the median 697 of 80`."""
    way = "below" if outlier.value < outlier.median else "above"
    part = percent(abs(outlier.distance))
    return f"{part} {way} the median {number(outlier.median)} of {outlier.peers + 1:,}"
