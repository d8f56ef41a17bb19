"""The parts of fleet.html that tell of nodes: the verdict, whom to drain, why, who is missing.

Each is a function from a fleet to HTML, empty where there is nothing to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jaxpad.fleet._drain import line
from jaxpad.fleet._model import Fleet, Node, Problem
from jaxpad.fleet._words import Step, headline, on, steps, told
from jaxpad.report._figures import moment, plural
from jaxpad.report._signs import badge, style
from jaxpad.report._tags import Html, folded, join, section, table, tag
from jaxpad.verdict import Verdict

ORDER = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
MOST_ROWS = 50
MOST_LINES = 1000
MOST_PROBLEMS = 40
MOST_NAMES = 1500  # letters of names in one place; ranges make that thousands of nodes


def header(found: Fleet) -> Html:
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


def what_next(found: Fleet) -> Html:
    return section("next", "What to do next", tag("ol", *map(_step, steps(found))))


def _step(step: Step) -> Html:
    text = tag("a", step.text, href=f"#{step.anchor}") if step.anchor else step.text
    return tag("li", text)


def to_drain(found: Fleet, scheduler: str) -> Html:
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


def problems(found: Fleet) -> Html:
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


def untested(found: Fleet) -> Html:
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


def set_aside(found: Fleet) -> Html:
    """Reports that were not trusted; each folder by its printable name."""
    rows = [(tag("code", f"{a.folder}"), a.why, a.remedy) for a in found.set_aside[:MOST_ROWS]]
    whole = table("Folders set aside", ("Folder", "Why", "Remedy"), rows) if rows else ""
    rest = cut(len(found.set_aside), MOST_ROWS, "folders")
    return section("set-aside", f"Set aside ({len(found.set_aside):,})", whole, rest)


def every_node(found: Fleet) -> Html:
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


def rules(found: Fleet) -> Html:
    """What the judgement rests on, changed bounds included."""
    listed = tag("ul", *(tag("li", rule) for rule in found.rules)) if found.rules else Html("")
    return section("rules", "Bounds", folded("What was held to what", listed) if listed else "")
