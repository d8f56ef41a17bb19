"""junit.xml: a report for CI servers, in the common ground of their readers.

There is no standard. This keeps to Jenkins' schema (junit-10.xsd of its xUnit plugin)
but for a test case's `properties`, which that schema lacks and pytest writes, too.
A suite's `properties` are in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from jaxpad.core.results import CheckResult, Measurement, Report, Verdict
from jaxpad.core.text import LONGEST_S, clip, plain
from jaxpad.report.rates import entries
from jaxpad.report.text import Topic, headline, topics

RATED = "test_throughput_gates.py"  # the file that judges the rates
OUTCOMES = {
    Verdict.FAIL: "failure",
    Verdict.INCONCLUSIVE: "error",
    Verdict.NOT_APPLICABLE: "skipped",
}


def to_junit(report: Report) -> str:
    """One suite a file, one case a check, measurements as properties."""
    checks = report.checks or (_nothing_ran(report),)
    root = ET.Element("testsuites", {"name": "jaxpad smoke", **_totals(checks, report.seconds)})
    root.attrib.pop("skipped")  # not among the attributes of testsuites
    for topic in topics(report) or (Topic("run", checks),):
        root.append(_suite(report, topic))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _nothing_ran(report: Report) -> CheckResult:
    """A reader that counts errors must not take an empty file for a green one."""
    words = headline(report)
    return CheckResult("run", "any_check_ran", "", Verdict.INCONCLUSIVE, words)


def _suite(report: Report, topic: Topic) -> ET.Element:
    totals = _totals(topic.checks, topic.seconds)
    about = {"timestamp": plain(report.started)[:19], "hostname": plain(report.node)}
    suite = ET.Element("testsuite", {"name": plain(topic.name), **totals, **about})
    if topic.file == RATED:
        suite.append(_rates(report))
    suite.extend(_case(check) for check in topic.checks)
    return suite


def _rates(report: Report) -> ET.Element:
    """The rates as properties of the suite that judges them: `gemm bf16, GPU 3, all at once`."""
    properties = ET.Element("properties")
    for entry in entries(report):
        rate = entry.rate
        how = "all at once" if rate.together or rate.device is None else "one by one"
        found = {"": rate.median, ".unit": rate.unit, ".spread": rate.spread}
        found |= {".gate": entry.gate, ".peak": entry.peak, ".verdict": entry.verdict}
        place = "" if rate.device is None else f", {entry.place}"
        _add(properties, f"{rate.name}{place}, {how}", found)
    return properties


def _totals(checks: Iterable[CheckResult], seconds: float) -> dict[str, str]:
    verdicts = [check.verdict for check in checks]
    return {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(Verdict.FAIL)),
        "errors": str(verdicts.count(Verdict.INCONCLUSIVE)),
        "skipped": str(verdicts.count(Verdict.NOT_APPLICABLE)),
        "time": _time(seconds),
    }


def _time(seconds: float) -> str:
    """Readers take a plain decimal: a time that no run takes is cut."""
    return f"{clip(seconds, LONGEST_S):.3f}"


def _case(check: CheckResult) -> ET.Element:
    classname = plain(check.file.removesuffix(".py"))
    named = {"classname": classname, "name": plain(check.name), "time": _time(check.seconds)}
    case = ET.Element("testcase", named)
    if check.measurements:
        properties = ET.SubElement(case, "properties")
        for found in check.measurements:
            _properties(properties, found)
    if check.verdict in OUTCOMES:
        case.append(_outcome(check))
    return case


def _properties(parent: ET.Element, found: Measurement) -> None:
    """The bare number under its name, so that a program can read it; the rest beside it."""
    parts = {"": found.value, ".unit": found.unit, ".spread": found.spread}
    parts |= {".gate": found.gate, ".source": found.source}
    _add(parent, found.name, parts)


def _add(parent: ET.Element, name: str, parts: Mapping[str, Any]) -> None:
    for suffix, value in parts.items():
        if value not in ("", None):
            whole = plain(f"{name}{suffix}")
            ET.SubElement(parent, "property", name=whole, value=plain(str(value)))


def _outcome(check: CheckResult) -> ET.Element:
    about = {"type": check.verdict.value, "message": plain(check.reason)}
    outcome = ET.Element(OUTCOMES[check.verdict], about)
    remedy = check.remedy and f"Remedy: {check.remedy}"
    outcome.text = plain("\n\n".join(filter(None, (check.reason, remedy, check.output))))
    return outcome
