"""report.html: one file that opens offline and needs no script to be read."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from string import Template

from jaxpad.nvml import Trace
from jaxpad.report import (
    _details as details,
    _gpus as gpus,
    _performance as performance,
    _sections as sections,
)
from jaxpad.report._json import to_json
from jaxpad.report._tags import Html, join, safe, tag
from jaxpad.report._thin import thin
from jaxpad.report._words import headline, shell
from jaxpad.results import SCHEMA_VERSION, Report
from jaxpad.verdict import Verdict


def to_html(report: Report, trace: Trace | None = None, *, pictures: bool = True) -> str:
    """The whole page, with the report's JSON embedded as `#smoke-json`.

    `trace` has its times in seconds after the run's start, and is thinned here. Pictures
    need matplotlib; without it, or without `pictures`, the page has their numbers.
    """
    return _template().substitute(
        title=safe(f"{headline(report)} - jaxpad smoke"),
        style=_style(),
        header=sections.header(report),
        body=_body(report, thin(trace) if trace else None, pictures),
        footer=_footer(report),
        json=embedded(report),
    )


def _body(report: Report, trace: Trace | None, pictures: bool) -> Html:
    parts = (
        sections.what_next(report),
        sections.wrong(report, Verdict.FAIL, "Failed"),
        sections.wrong(report, Verdict.INCONCLUSIVE, "Inconclusive"),
        gpus.gpus(report, trace),
        performance.rates(report, pictures=pictures),
        performance.traces(report, trace, pictures=pictures),
        performance.roofline(report, pictures=pictures),
        sections.all_topics(report),
        details.measurements(report),
        details.machine(report),
        details.xla_flags(report),
        details.platform(report),
        details.environment(report),
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
