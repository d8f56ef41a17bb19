"""The upper part of report.html: verdict, what to do, what is wrong, every check.

Each section is a function from a report to HTML.
"""

from __future__ import annotations

from jaxpad.report._digest import ORDER, Group, Topic, groups, topics
from jaxpad.report._figures import duration, measured, moment, plural
from jaxpad.report._signs import badge, style
from jaxpad.report._tags import Html, folded, join, section, table, tag
from jaxpad.report._words import computes_on, headline, next_steps
from jaxpad.results import CheckResult, Report
from jaxpad.verdict import Verdict


def header(report: Report) -> Html:
    """The verdict in words, where it was reached, and the counts."""
    facts = (
        computes_on(report),
        f"node {report.node}",
        f"profile {report.profile}" if report.profile else "no profile",
        f"started {moment(report.started)}",
        f"took {duration(report.seconds)}",
    )
    counts = (join([f"{report.count(verdict)} ", badge(verdict)]) for verdict in ORDER)
    return tag(
        "header",
        tag("p", "jaxpad smoke report", class_="kind"),
        tag("h1", headline(report)),
        tag("ul", *(tag("li", fact) for fact in facts), class_="facts"),
        tag("ul", *(tag("li", count) for count in counts), class_="counts"),
        _alarm(report),
        class_=style(report.verdict),
    )


def _alarm(report: Report) -> Html:
    if not report.xla_flags.dropped:
        return Html("")
    where = tag("a", "see XLA flags", href="#xla-flags")
    return tag("p", tag("b", "Part of XLA_FLAGS is not in effect: "), where, class_="alarm")


def what_next(report: Report) -> Html:
    steps = (
        tag("li", tag("p", step.text), tag("pre", step.command) if step.command else "")
        for step in next_steps(report)
    )
    return section("next", "What to do next", tag("ol", *steps))


def wrong(report: Report, verdict: Verdict, title: str) -> Html:
    """Each check of this verdict, with all there is to know about it."""
    found = groups(report, verdict)
    count = f"{title} ({report.count(verdict)})"
    return section(style(verdict), count, *(_article(group) for group in found))


def _article(group: Group) -> Html:
    first = group.first
    return tag(
        "article",
        *_title(group),
        *(_labelled("Why", first.reason), _labelled("Remedy", first.remedy)),
        *(_labelled("Measured", measured(found)) for found in first.measurements),
        folded("Traceback and output", tag("pre", first.output)) if first.output else "",
        class_=style(first.verdict),
    )


def _title(group: Group) -> tuple[Html, ...]:
    first, count = group.first, len(group.checks)
    if count > 1:
        names = tag("ul", *(tag("li", tag("code", check.id)) for check in group.checks))
        told = tag("h3", badge(first.verdict), Html(" "), f"{count} checks, for one reason")
        return told, folded("Which checks", names)
    took = tag("p", tag("code", first.id), f", {duration(first.seconds)}", class_="which")
    return tag("h3", badge(first.verdict), Html(" "), first.question or first.name), took


def _labelled(label: str, text: str) -> Html:
    return tag("p", tag("b", f"{label}: "), text, class_="told") if text else Html("")


def all_topics(report: Report) -> Html:
    found = topics(report)
    heads = ("Topic", *(verdict.value for verdict in ORDER), "Seconds")
    rows = ((topic.name, *_counts(topic), f"{topic.seconds:.2f}") for topic in found)
    overview = table("Checks by topic", heads, rows)
    return section("topics", "Topics", overview, *map(_topic, found)) if found else Html("")


def _counts(topic: Topic) -> tuple[str, ...]:
    counts = ((verdict, topic.count(verdict)) for verdict in ORDER)
    return tuple(
        tag("b", str(count), class_=f"count {style(verdict)}") if count else "0"
        for verdict, count in counts
    )


def _topic(topic: Topic) -> Html:
    heads = ("Check", "Verdict", "Question", "Seconds")
    title = f"{topic.name}: {plural(len(topic.checks), 'check')}, {topic.verdict}"
    return folded(title, table(f"Checks of {topic.file}", heads, map(_check_row, topic.checks)))


def _check_row(check: CheckResult) -> tuple[str, ...]:
    why = tag("div", check.reason, class_="why") if check.reason else ""
    question = join([check.question, why])
    return tag("code", check.name), badge(check.verdict), question, f"{check.seconds:.2f}"
