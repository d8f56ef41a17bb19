"""report.html: one file that opens offline and needs no script to be read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

from jaxpad.core.files import replace_all
from jaxpad.core.markup import Html, badge, folded, join, safe, section, style, table, tag
from jaxpad.core.results import (
    SCHEMA_VERSION,
    CheckResult,
    Fact,
    Measurement,
    Report,
    UsageError,
    Verdict,
)
from jaxpad.core.text import duration, known, measured, moment, number, plural
from jaxpad.nvml import Trace
from jaxpad.report import gpus, gpus as performance
from jaxpad.report.data import from_json, thin, to_json, to_junit, traces_to_json
from jaxpad.report.text import (
    ORDER,
    Group,
    Topic,
    computes_on,
    groups,
    headline,
    next_steps,
    shell,
    topics,
)

# The upper part of report.html: verdict, what to do, what is wrong, every check.
#
# Each section is a function from a report to HTML.


def header_section(report: Report) -> Html:
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


def next_section(report: Report) -> Html:
    steps = (
        tag("li", tag("p", step.text), tag("pre", step.command) if step.command else "")
        for step in next_steps(report)
    )
    return section("next", "What to do next", tag("ol", *steps))


def failures_section(report: Report, verdict: Verdict, title: str) -> Html:
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


def topics_section(report: Report) -> Html:
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


# The lower part of report.html: numbers, versions, flags, and how the platform was found.
#
# Each section is a function from a report to HTML, empty where there is nothing to tell.


def measurements_section(report: Report) -> Html:
    rows = [_measured(check, found) for check in report.checks for found in check.measurements]
    heads = ("Check", "Measurement", "Value", "Spread (IQR)", "Held to")
    whole = table("What was measured", heads, rows) if rows else ""
    return section("measurements", "Measurements", whole)


def _measured(check: CheckResult, found: Measurement) -> tuple[str, ...]:
    # A long name may break after its file, so that five columns fit a page.
    name = tag("code", check.file, "::", Html("<wbr>"), check.name)
    value = f"{number(found.value)} {found.unit}".rstrip()
    spread = "" if found.spread is None else number(found.spread)
    source = tag("div", found.source, class_="why") if found.source else ""
    return name, found.name, value, spread, join([found.gate or "none", source])


def machine_section(report: Report) -> Html:
    tables = (_facts("Versions", report.versions), _facts("Host", report.host))
    return section("machine", "Versions and host", *tables)


def _facts(caption: str, facts: Mapping[str, Fact]) -> Html:
    rows = ((name, _known(fact)) for name, fact in facts.items())
    return table(caption, ("Name", "Value"), rows) if facts else Html("")


def _known(fact: Fact) -> str:
    return known(fact) if fact.value is not None else tag("span", known(fact), class_="why")


def xla_flags_section(report: Report) -> Html:
    """The flags as XLA reads them and, loudly, what it drops."""
    xla, dropped = report.xla_flags, report.xla_flags.dropped
    text = f"XLA stops reading at a stray token and drops the rest without a word: {dropped}"
    alarm = tag("p", tag("b", "Not in effect. "), text, class_="alarm") if dropped else ""
    rows = [(tag("code", flag.name), tag("code", flag.value), flag.origin) for flag in xla.flags]
    flags = table("In effect", ("Flag", "Value", "From"), rows) if rows else ""
    whole = tag("pre", f"XLA_FLAGS={xla.text}") if xla.text else tag("p", "XLA_FLAGS is not set.")
    return section("xla-flags", "XLA flags", alarm, flags, whole)


def platform_section(report: Report) -> Html:
    """Where JAX was to compute, where it did, the signs of a GPU, the devices."""
    asked = report.platform
    found = asked.found or "none, JAX did not start"
    told = f"Asked for {asked.requested}, expected {asked.expected}, found {found}."
    kinds = Counter((device.platform, device.kind) for device in asked.devices)
    devices = [(kind, name, str(count)) for (name, kind), count in kinds.items()]
    return section(
        "platform",
        "Platform",
        tag("p", told),
        tag("p", f"Why: {asked.why}") if asked.why else "",
        tag("ul", *(tag("li", sign) for sign in asked.evidence)) if asked.evidence else "",
        table("JAX devices", ("Kind", "Platform", "Count"), devices) if devices else "",
    )


def environment_section(report: Report) -> Html:
    """The variables that steer JAX, XLA, CUDA and NCCL."""
    rows = [(tag("code", name), tag("code", text)) for name, text in report.environment.items()]
    return section(
        "environment",
        "Environment",
        table("Variables that steer JAX, XLA, CUDA and NCCL", ("Name", "Value"), rows)
        if rows
        else "",
    )


def to_html(report: Report, trace: Trace | None = None, *, pictures: bool = True) -> str:
    """The whole page, with the report's JSON embedded as `#smoke-json`.

    `trace` has its times in seconds after the run's start, and is thinned here. Pictures
    need matplotlib; without it, or without `pictures`, the page has their numbers.
    """
    return _template().substitute(
        title=safe(f"{headline(report)} - jaxpad smoke"),
        style=_style(),
        header=header_section(report),
        body=_body(report, thin(trace) if trace else None, pictures),
        footer=_footer(report),
        json=embedded(report),
    )


def _body(report: Report, trace: Trace | None, pictures: bool) -> Html:
    parts = (
        next_section(report),
        failures_section(report, Verdict.FAIL, "Failed"),
        failures_section(report, Verdict.INCONCLUSIVE, "Inconclusive"),
        gpus.gpus(report, trace),
        performance.rates(report, pictures=pictures),
        performance.traces(report, trace, pictures=pictures),
        performance.roofline(report, pictures=pictures),
        topics_section(report),
        measurements_section(report),
        machine_section(report),
        xla_flags_section(report),
        platform_section(report),
        environment_section(report),
    )
    return join(part for part in parts if part)


def _footer(report: Report) -> Html:
    made = f"Made by jaxpad {report.jaxpad}, exit code {report.verdict.exit_code}, with "
    kept = f". The same as data: smoke.json, schema {SCHEMA_VERSION}, and inside this file."
    return tag("p", made, tag("code", shell(report.command)), kept)


def embedded(report: Report) -> str:
    """The report's JSON for a script element: `<` is escaped, so nothing can close it."""
    return json.dumps(to_json(report), separators=(",", ":")).replace("<", "\\u003c")


@cache
def _template() -> Template:
    return Template(_read("report.html.template"))


@cache
def _style() -> str:
    return _read("report.css")


def _read(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


# A report's files, each replaced whole or not at all.


def write(
    report: Report, folder: Path, trace: Trace | None = None, *, pictures: bool = True
) -> dict[str, Path]:
    """Write smoke.json, traces.json, junit.xml and report.html; the path of each by its name.

    All are written in full before the first takes its name, so a reader sees a whole
    report at any time, and a run that is killed leaves the one before. Makes the
    folder. Redact first: this writes what it is given. Nothing is flushed to the disk:
    the promise is for readers and killed processes, not for a power cut.

    `trace` has its times in seconds after the run's start (see `Trace.since`); it is thinned to
    some hundred rows a GPU. Without one there is no traces.json, and an older one goes.

    Raises UsageError if the folder cannot be written, or has no space.
    """
    trace = thin(trace) if trace else None
    contents = {"smoke.json": json.dumps(to_json(report), indent=1) + "\n"}
    if trace:
        compact = json.dumps(traces_to_json(trace), separators=(",", ":"))
        contents["traces.json"] = compact + "\n"
    settled = _settled(report)
    contents["junit.xml"] = to_junit(settled)
    contents["report.html"] = to_html(settled, trace, pictures=pictures)
    # The traces of a run before tell of another run.
    replace_all(folder, contents, gone=() if trace else ("traces.json",))
    return {name: folder / name for name in contents}


def render(report: Report, folder: Path, trace: Trace | None = None) -> Path:
    """Write junit.xml and report.html alone, from what lies in the folder; the page's path.

    Raises UsageError as `write` does.
    """
    contents = {"junit.xml": to_junit(report), "report.html": to_html(report, trace)}
    replace_all(folder, contents)
    return folder / "report.html"


def _settled(report: Report) -> Report:
    """The report as smoke.json tells it, so that the page can be made from that again.

    The two differ where JSON cannot say a thing: infinity, bytes that are no text.
    """
    try:
        return from_json(to_json(report))
    except UsageError:  # a value of a type the model does not have must not cost the report
        return report
