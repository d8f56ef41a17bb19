"""fleet.html: one file that opens offline, needs no script, and stays small for large fleets.

10,000 nodes do not fit a page that a person reads: each part shows the first of what needs
attention, and says how many more there are. fleet.json has everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from jaxpad.core.codec import to_plain
from jaxpad.core.files import replace_all
from jaxpad.core.markup import (
    Html,
    badge,
    figure,
    folded,
    grid,
    join,
    lacking,
    safe,
    section,
    style,
    table,
    tag,
)
from jaxpad.core.results import UsageError, Verdict
from jaxpad.core.text import moment, number, plural
from jaxpad.fleet.chart import Spread, chart
from jaxpad.fleet.model import SCHEMA_VERSION, Distribution, Drift, Fleet, Node, Outlier, Problem
from jaxpad.fleet.outliers import OutlierGroup, away, far
from jaxpad.fleet.text import SCHEDULERS, Step, headline, line, on, steps, told

# The parts of fleet.html that tell of nodes: the verdict, whom to drain, why, who is missing.
#
# Each is a function from a fleet to HTML, empty where there is nothing to tell.

ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
MOST_ROWS = 50
MOST_LINES = 1000
MOST_PROBLEMS = 40
MOST_NAMES = 1500  # letters of names in one place; ranges make that thousands of nodes


def header_section(found: Fleet) -> Html:
    """The verdict in words, how many nodes got which, and when they ran."""
    facts = [f"{len(found.nodes):,} nodes" if len(found.nodes) != 1 else "1 node", *_when(found)]
    counts = (join([f"{found.counts[verdict]:,} ", badge(verdict)]) for verdict in ORDER)
    return tag(
        "header",
        tag("p", "jaxpad fleet report", class_="kind"),
        tag("h1", headline(found)),
        tag("ul", *(tag("li", fact) for fact in facts), class_="facts"),
        tag("ul", *(tag("li", count) for count in counts), class_="counts"),
        class_=style(found.verdict),
    )


def _when(found: Fleet) -> Iterable[str]:
    if found.oldest:
        first, last = moment(found.oldest), moment(found.newest)
        yield f"started {first}" if first == last else f"started {first} to {last}"
    yield f"merged {moment(found.made)}"


def next_section(found: Fleet) -> Html:
    return section("next", "What to do next", tag("ol", *map(_step, steps(found))))


def _step(step: Step) -> Html:
    text = tag("a", step.text, href=f"#{step.anchor}") if step.anchor else step.text
    return tag("li", text)


def drain_section(found: Fleet, scheduler: str) -> Html:
    """Each node with its reason, then the lines to paste."""
    nodes = found.to_drain
    if not nodes:
        return Html("")
    rows = ((tag("code", node.name), node.drain) for node in nodes[:MOST_ROWS])
    lines = "\n".join(line(node, scheduler) for node in nodes[:MOST_LINES])
    label = f"Lines for {scheduler.capitalize()}; nothing was run"
    return section(
        "drain",
        f"To drain ({len(nodes):,})",
        tag("p", "Confirmed failures that are the node's own. Look at the reasons first."),
        tag("p", tag("b", f"{label}:")),
        tag("pre", lines, class_="lines", role="region", aria_label=label, tabindex="0"),
        cut(len(nodes), MOST_LINES, "lines"),
        table("Nodes to drain, and why", ("Node", "Why"), rows),
        cut(len(nodes), MOST_ROWS, "nodes"),
    )


def cut(count: int, most: int, noun: str) -> Html:
    """What is not shown, in a sentence."""
    if count <= most:
        return Html("")
    return tag("p", f"{count - most:,} more {noun} are in fleet.json.", class_="why")


def problems_section(found: Fleet) -> Html:
    """First what most nodes share, then what fails, then what could not be answered."""
    shared = [problem for problem in found.problems if problem.shared]
    own = [problem for problem in found.problems if not problem.shared]
    failed = [problem for problem in own if problem.verdict is Verdict.FAIL]
    open_ = [problem for problem in own if problem.verdict is not Verdict.FAIL]
    words = "Most nodes fail these for one reason, so it is no single node's: it drains nobody."
    return join(
        (
            _problems("shared", "The fleet's own failures", shared, words),
            _problems("fail", "Failures of single nodes", failed),
            _problems("inconclusive", "Not answered", open_),
        )
    )


def _problems(anchor: str, title: str, found: Sequence[Problem], words: str = "") -> Html:
    shown = [_article(problem) for problem in found[:MOST_PROBLEMS]]
    lead = tag("p", words) if words and shown else Html("")
    rest = cut(len(found), MOST_PROBLEMS, "problems")
    return section(anchor, f"{title} ({len(found):,})", lead, *shown, rest) if found else Html("")


def _article(problem: Problem) -> Html:
    return tag(
        "article",
        tag("h3", badge(problem.verdict), Html(" "), tag("code", problem.check)),
        tag("p", f"on {on(problem)}: ", names(problem.nodes), class_="which"),
        *(_labelled("Why", problem.reason), _labelled("Remedy", problem.remedy)),
        class_=style(problem.verdict),
    )


def _labelled(label: str, text: str) -> Html:
    return tag("p", tag("b", f"{label}: "), text, class_="told") if text else Html("")


def names(found: Iterable[str], most: int = 300) -> Html:
    """Nodes in few words, which may break after each comma."""
    parts = told(found, most).split(",")
    breakable = Html(",<wbr>").join(tag("span", part) for part in parts)
    return tag("span", Html(breakable), class_="nodes")


def untested_section(found: Fleet) -> Html:
    """Nodes without a report that counts, by reason."""
    reasons: dict[tuple[str, str], list[Node]] = {}
    for node in found.nodes:
        if node.state in ("missing", "not tested"):
            reasons.setdefault((node.reasons[0], node.remedies[0]), []).append(node)
    rows = [
        (names((node.name for node in nodes), MOST_NAMES), str(len(nodes)), why, remedy)
        for (why, remedy), nodes in list(reasons.items())[:MOST_ROWS]
    ]
    heads = ("Nodes", "How many", "Why", "Remedy")
    count = sum(map(len, reasons.values()))
    whole = table("Nodes without a report", heads, rows) if rows else ""
    rest = cut(len(reasons), MOST_ROWS, "reasons")
    return section("untested", f"Without a report ({count:,})", whole, rest)


def set_aside_section(found: Fleet) -> Html:
    """Reports that were not trusted; each folder by its printable name."""
    rows = [(tag("code", f"{a.folder}"), a.why, a.remedy) for a in found.set_aside[:MOST_ROWS]]
    whole = table("Folders set aside", ("Folder", "Why", "Remedy"), rows) if rows else ""
    rest = cut(len(found.set_aside), MOST_ROWS, "folders")
    return section("set-aside", f"Set aside ({len(found.set_aside):,})", whole, rest)


def nodes_section(found: Fleet) -> Html:
    """The nodes of each verdict, folded away."""
    parts = [_of(found, verdict) for verdict in ORDER if found.counts[verdict]]
    if found.unexpected:
        title = f"Not expected, but here: {plural(len(found.unexpected), 'node')}"
        parts.append(folded(title, tag("p", names(found.unexpected, MOST_NAMES))))
    return section("nodes", "All nodes", tag("div", *parts, class_="all")) if parts else Html("")


def _of(found: Fleet, verdict: Verdict) -> Html:
    mine = [node.name for node in found.nodes if node.verdict is verdict]
    heading = tag("summary", badge(verdict), f" {len(mine):,} of {len(found.nodes):,}")
    listed = tag("p", names(mine, 10 * MOST_NAMES))
    return tag("details", heading, listed)


def rules_section(found: Fleet) -> Html:
    """What the judgement rests on, changed bounds included."""
    listed = tag("ul", *(tag("li", rule) for rule in found.rules)) if found.rules else Html("")
    return section("rules", "Bounds", folded("What was held to what", listed) if listed else "")


# The parts of fleet.html that lay nodes side by side: outliers, drift, how numbers are spread.

MOST_PICTURES = 3
MOST_OTHERS = 20  # values of one setting


def outliers_section(found: Fleet, *, pictures: bool) -> Html:
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


def _place(found: OutlierGroup) -> tuple[str, ...]:
    worst = found.worst
    means = join([badge(Verdict.INCONCLUSIVE), ": slow"]) if found.slow else Html("told only")
    what = join([worst.what, tag("div", worst.model, class_="why")])
    value = f"{number(worst.value)} {worst.unit}"
    deviations = f"{number(worst.deviations)} robust deviations" if worst.deviations else ""
    distance = join([away(worst), tag("div", deviations, class_="why")])
    return tag("code", found.where), means, what, value, distance, str(len(found.outliers))


def drift_section(found: Fleet) -> Html:
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


def distributions_section(found: Fleet) -> Html:
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


def to_html(found: Fleet, scheduler: str, *, pictures: bool = True) -> str:
    """The whole page. Pictures need matplotlib; without it the page has their numbers."""
    return _template().substitute(
        title=safe(f"{headline(found)} - jaxpad fleet"),
        style=_read("jaxpad.report", "report.css") + _read("jaxpad.fleet", "fleet.css"),
        header=header_section(found),
        body=_body(found, scheduler, pictures),
        footer=_footer(found),
    )


def _body(found: Fleet, scheduler: str, pictures: bool) -> Html:
    parts = (
        next_section(found),
        drain_section(found, scheduler),
        problems_section(found),
        untested_section(found),
        set_aside_section(found),
        outliers_section(found, pictures=pictures),
        drift_section(found),
        distributions_section(found),
        nodes_section(found),
        rules_section(found),
    )
    return join(part for part in parts if part)


def _footer(found: Fleet) -> Html:
    made = f"Made by jaxpad {found.jaxpad}, exit code {found.verdict.exit_code}, from "
    kept = f". The same as data, and all that is cut here: fleet.json, schema {SCHEMA_VERSION}."
    return tag("p", made, tag("code", found.folder), kept)


@cache
def _template() -> Template:
    return Template(_read("jaxpad.fleet", "fleet.html.template"))


@cache
def _read(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")


# A fleet's two files, each replaced whole or not at all.

# fleet.json: a fleet as JSON data.


def to_json(found: Fleet) -> dict[str, Any]:
    """The content of fleet.json, as fleet.schema.json describes it."""
    return {
        "schema": SCHEMA_VERSION,
        "verdict": found.verdict.value,
        "exit_code": found.verdict.exit_code,
        "counts": found.counts,
        "drain": [
            {"node": node.name, "reason": node.drain}
            | {scheduler: line(node, scheduler) for scheduler in SCHEDULERS}
            for node in found.to_drain
        ],
        **to_plain(found),
    }


NOTHING: Mapping[str, str] = {}


def write(
    found: Fleet,
    out: Path,
    *,
    scheduler: str = "slurm",
    pictures: bool = True,
    more: Mapping[str, str] = NOTHING,
) -> dict[str, Path]:
    """Write fleet.json and fleet.html into `out`, and `more` files; the path of each by its name.

    All are written in full before the first takes its name. Makes the folder. The page
    has the drain lines of `scheduler`, "slurm" or "kubernetes"; fleet.json has both.

    Raises UsageError if the folder cannot be written, or has no space.
    """
    contents = {
        **more,
        "fleet.json": json.dumps(to_json(found), indent=1) + "\n",
        "fleet.html": to_html(found, scheduler, pictures=pictures),
    }
    replace_all(out, contents)
    return {name: out / name for name in contents}


def kept(
    found: Fleet, out: Path, *, scheduler: str = "slurm", more: Mapping[str, str] = NOTHING
) -> str:
    """`write`; why it could not be done, in a line, or nothing: what was found is then shown."""
    try:
        write(found, out, scheduler=scheduler, more=more)
    except UsageError as error:
        return f"jaxpad: {error}; what was found is above\n"
    return ""
