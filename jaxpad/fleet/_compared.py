"""The parts of fleet.html that lay nodes side by side: outliers, drift, how numbers are spread."""

from __future__ import annotations

from collections.abc import Iterator

from jaxpad.fleet._far import Far, away, far
from jaxpad.fleet._model import Distribution, Drift, Fleet, Outlier
from jaxpad.fleet._page import MOST_ROWS, cut, names
from jaxpad.fleet._picture import Spread, chart
from jaxpad.report._canvas import figure, grid, lacking
from jaxpad.report._figures import number
from jaxpad.report._signs import badge
from jaxpad.report._tags import Html, join, section, table, tag
from jaxpad.verdict import Verdict

MOST_PICTURES = 3
MOST_OTHERS = 20  # values of one setting


def outliers(found: Fleet, *, pictures: bool) -> Html:
    """Who is far from its peers: pictures of the worst numbers, then a table."""
    if not found.outliers:
        return Html("")
    places = far(found.outliers)
    heads = ("Where", "Means", "Farthest", "Value", "From the median", "Numbers")
    rows = map(_place, places[:MOST_ROWS])
    drawn = [
        figure(chart(spread, f"spread-{at}"), pictures=pictures)
        for at, spread in enumerate(_worst(found))
        if pictures and lacking() is None
    ]
    words = (
        "Compared with the same number on GPUs of the same model. A slow GPU that holds to its "
        "gates makes its node inconclusive; anything else here changes no verdict."
    )
    return section(
        "outliers",
        f"Far from their peers ({len(places):,})",
        tag("p", words),
        grid(drawn),
        table("Outliers, slow GPUs first", heads, rows),
        cut(len(places), MOST_ROWS, "places"),
    )


def _worst(found: Fleet) -> Iterator[Spread]:
    """The numbers that have outliers, the worst first."""
    by_number: dict[tuple[str, str, str], list[Outlier]] = {}
    for each in found.outliers:
        by_number.setdefault((each.what, each.model, each.unit), []).append(each)
    spreads = {(each.what, each.model, each.unit): each for each in found.distributions}
    drawn = [key for key in by_number if key in spreads]
    for key in drawn[:MOST_PICTURES]:
        yield Spread(spreads[key], tuple(by_number[key]))


def _place(found: Far) -> tuple[str, ...]:
    worst = found.worst
    means = join([badge(Verdict.INCONCLUSIVE), ": slow"]) if found.slow else Html("told only")
    what = join([worst.what, tag("div", worst.model, class_="why")])
    value = f"{number(worst.value)} {worst.unit}"
    deviations = f"{number(worst.deviations)} robust deviations" if worst.deviations else ""
    distance = join([away(worst), tag("div", deviations, class_="why")])
    return tag("code", found.where), means, what, value, distance, str(len(found.outliers))


def drift(found: Fleet) -> Html:
    """Each setting that is not the same everywhere."""
    rows = map(_drift, found.drift[:MOST_ROWS])
    whole = table("Settings that differ", ("Setting", "Most nodes", "Others"), rows)
    rest = cut(len(found.drift), MOST_ROWS, "settings")
    title = f"Versions and settings that differ ({len(found.drift):,})"
    return section("drift", title, whole, rest) if found.drift else Html("")


def _drift(each: Drift) -> tuple[str, ...]:
    others = [
        tag("div", tag("code", other.value), " on ", names(other.nodes, 200))
        for other in each.others[:MOST_OTHERS]
    ]
    majority = join([tag("code", each.majority), f" on {each.count:,}"])
    return each.name, majority, join([*others, cut(len(each.others), MOST_OTHERS, "values")])


def distributions(found: Fleet) -> Html:
    """Every number that was compared, and how it is spread."""
    shown = sorted(found.distributions, key=lambda each: (each.model, each.what))
    heads = ("What", "Of", "Measured", "Least", "Median", "Deviation", "Most", "Unit")
    rows = map(_distribution, shown[:MOST_ROWS])
    title = "How numbers are spread over the fleet"
    whole = table(f"{title}; the deviation is 1.4826 times the MAD", heads, rows)
    rest = cut(len(shown), MOST_ROWS, "numbers")
    folded = tag(
        "details", tag("summary", f"{len(shown):,} numbers that were compared"), whole, rest
    )
    return section("spread", title, folded) if shown else Html("")


def _distribution(each: Distribution) -> tuple[str, ...]:
    numbers = map(number, (each.least, each.median, each.deviation, each.most))
    return each.what, each.model, f"{each.samples:,}", *numbers, each.unit
