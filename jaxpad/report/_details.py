"""The lower part of report.html: numbers, versions, flags, and how the platform was found.

Each section is a function from a report to HTML, empty where there is nothing to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from jaxpad.report._figures import known, number
from jaxpad.report._tags import Html, join, section, table, tag
from jaxpad.results import CheckResult, Fact, Measurement, Report


def measurements(report: Report) -> Html:
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


def machine(report: Report) -> Html:
    tables = (_facts("Versions", report.versions), _facts("Host", report.host))
    return section("machine", "Versions and host", *tables)


def _facts(caption: str, facts: Mapping[str, Fact]) -> Html:
    rows = ((name, _known(fact)) for name, fact in facts.items())
    return table(caption, ("Name", "Value"), rows) if facts else Html("")


def _known(fact: Fact) -> str:
    return known(fact) if fact.value is not None else tag("span", known(fact), class_="why")


def xla_flags(report: Report) -> Html:
    """The flags as XLA reads them and, loudly, what it drops."""
    xla, dropped = report.xla_flags, report.xla_flags.dropped
    text = f"XLA stops reading at a stray token and drops the rest without a word: {dropped}"
    alarm = tag("p", tag("b", "Not in effect. "), text, class_="alarm") if dropped else ""
    rows = [(tag("code", flag.name), tag("code", flag.value), flag.origin) for flag in xla.flags]
    flags = table("In effect", ("Flag", "Value", "From"), rows) if rows else ""
    whole = tag("pre", f"XLA_FLAGS={xla.text}") if xla.text else tag("p", "XLA_FLAGS is not set.")
    return section("xla-flags", "XLA flags", alarm, flags, whole)


def platform(report: Report) -> Html:
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


def environment(report: Report) -> Html:
    """The variables that steer JAX, XLA, CUDA and NCCL."""
    rows = [(tag("code", name), tag("code", text)) for name, text in report.environment.items()]
    return section(
        "environment",
        "Environment",
        table("Variables that steer JAX, XLA, CUDA and NCCL", ("Name", "Value"), rows)
        if rows
        else "",
    )
