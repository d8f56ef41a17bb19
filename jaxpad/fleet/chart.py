"""One number over the fleet as a histogram, its outliers marked and named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jaxpad.core.markup import COLOURS, WIDTH, Chart, Html, axes, label, table
from jaxpad.core.text import HIGHEST, brief_number, clip, ratio
from jaxpad.fleet.model import Distribution, Outlier

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 150.0  # CSS pixels
NAMED = 3  # outliers with a label in the picture; the table has all
CROWD = 20  # marks among which a name cannot be read
NAME, UNIT = 100.0, 120.0  # CSS pixels that a label may take


@dataclass(frozen=True)
class Spread:
    """A number over the fleet, and who is outside."""

    numbers: Distribution
    outside: tuple[Outlier, ...]

    @property
    def named(self) -> tuple[Outlier, ...]:
        """The farthest."""
        return self.outside[:NAMED]


def chart(spread: Spread, key: str) -> Chart:
    """Counts on a scale that shows one beside thousands."""
    numbers = spread.numbers
    return Chart(
        key=key,
        title=f"{numbers.what} of {numbers.model}",
        finding=_finding(spread),
        numbers=_table(numbers),
        height=HEIGHT,
        paint=lambda drawn: _paint(drawn, spread),
    )


def _finding(spread: Spread) -> str:
    numbers = spread.numbers
    named = ", ".join(f"{_where(each)} ({brief_number(each.value)})" for each in spread.named)
    more = f" and {len(spread.outside) - NAMED:,} more" if spread.outside[NAMED:] else ""
    return (
        f"{numbers.samples:,} measured on {numbers.nodes:,} nodes, "
        f"median {brief_number(numbers.median)} {numbers.unit}; outside: {named}{more}."
    )


def _where(outlier: Outlier) -> str:
    return f"{outlier.node}, {outlier.place}" if outlier.place else outlier.node


def _edges(numbers: Distribution) -> list[float]:
    count = len(numbers.counts)
    low, high = numbers.least, numbers.most
    return [low + (high / count - low / count) * at for at in range(count)]


def _table(numbers: Distribution) -> Html:
    step = numbers.most / len(numbers.counts) - numbers.least / len(numbers.counts)
    rows = (
        (f"{brief_number(edge)} to {brief_number(edge + step)}", f"{count:,}")
        for edge, count in zip(_edges(numbers), numbers.counts, strict=True)
        if count
    )
    heads = (numbers.unit or "Value", "How many")
    return table(f"{numbers.what} of {numbers.model}: how many", heads, rows)


def _drawable(spread: Spread) -> Spread:
    """With every number where an axis can be."""
    numbers = spread.numbers
    least, median, most = (clip(n, HIGHEST) for n in (numbers.least, numbers.median, numbers.most))
    outside = tuple(replace(each, value=clip(each.value, HIGHEST)) for each in spread.outside)
    return Spread(replace(numbers, least=least, median=median, most=most), outside)


def _paint(drawn: Figure, whole: Spread) -> None:
    spread = _drawable(whole)
    numbers = spread.numbers
    panel = axes(drawn, 34, 10, 34, 20)
    edges = _edges(numbers)
    step = numbers.most / len(edges) - numbers.least / len(edges) or 1.0
    panel.set_yscale("symlog", linthresh=1)
    panel.bar(
        edges, numbers.counts, step * 0.92, align="edge", facecolor=COLOURS["series"], linewidth=0
    )
    top = max(numbers.counts)
    panel.set_ylim(0, top * 1.6 + 1)
    panel.set_xlim(numbers.least - step, numbers.most + step)
    _scale(panel, numbers, top)
    _mark(panel, spread)


def _scale(panel: Axes, numbers: Distribution, top: int) -> None:
    ticks = [1, *(10**power for power in range(1, 7) if 10**power <= top)]
    panel.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    panel.yaxis.minorticks_off()
    panel.locator_params(axis="x", nbins=5)
    panel.grid(axis="y")
    panel.set_axisbelow(True)
    panel.axvline(numbers.median, color=COLOURS["ink"], linewidth=1, linestyle=(0, (3, 2)))
    unit = f", {label(numbers.unit, UNIT)}" if numbers.unit else ""
    panel.set_title(
        f"how many, by value{unit}; dashed: median", loc="left", fontsize=8.5, pad=20
    ).set_color(COLOURS["quiet"])


def _mark(panel: Axes, spread: Spread) -> None:
    """A triangle above the bars for each outlier, names for the first few."""
    # One where many would lie upon another: a page must not hold ten thousand.
    whole = spread.numbers.most - spread.numbers.least
    least = spread.numbers.least
    values = list(
        {
            round(WIDTH * (ratio(each.value - least, whole) or 0.0)): each.value
            for each in spread.outside
        }.values()
    )
    across = panel.get_xaxis_transform()
    panel.plot(
        values,
        [1.03] * len(values),
        "v",
        color=COLOURS["fail"],
        markersize=5,
        transform=across,
        clip_on=False,
    )
    for each in _apart(spread):
        left = each.value < (spread.numbers.least + spread.numbers.most) / 2
        panel.annotate(
            label(_where(each), NAME),
            (each.value, 1.03),
            xycoords=across,
            xytext=(6 if left else -6, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="center",
            fontsize=8.5,
            color=COLOURS["fail"],
        )


def _apart(spread: Spread) -> Iterator[Outlier]:
    """Of the farthest those whose names do not run into one another; none among many marks."""
    if len(spread.outside) > CROWD:
        return
    numbers, kept = spread.numbers, list[float]()
    whole = numbers.most - numbers.least or 1.0
    for each in spread.named:
        across = (each.value - numbers.least) / whole * WIDTH
        if all(abs(across - other) > NAME + 12 for other in kept):
            kept.append(across)
            yield each
