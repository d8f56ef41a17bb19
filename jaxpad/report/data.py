"""smoke.json: a report as JSON data, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from jaxpad.core.codec import Misfit, revive, to_plain
from jaxpad.core.results import (
    SCHEMA_VERSION,
    CheckResult,
    Measurement,
    Report,
    UsageError,
    Verdict,
)
from jaxpad.core.text import LONGEST_S, clip, mean, plain, ratio
from jaxpad.nvml import GpmTrace, GpuTrace, Trace, TraceColumn
from jaxpad.report.rates import entries
from jaxpad.report.text import Topic, headline, topics

DERIVED = ("schema", "verdict", "exit_code", "counts")  # worked out from the rest


def to_json(report: Report) -> dict[str, Any]:
    """The content of smoke.json, as smoke.schema.json describes it.

    JSON has no infinity and no NaN: as a measured value they become words, elsewhere null.
    """
    return {
        "schema": SCHEMA_VERSION,
        "verdict": report.verdict.value,
        "exit_code": report.verdict.exit_code,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        **to_plain(report),
    }


def from_json(data: Mapping[str, Any]) -> Report:
    """The report that `to_json` gave.

    Raises UsageError for another schema version, and where a field is missing, unknown
    or of another type than the schema's.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA_VERSION:
        version = data.get("schema") if isinstance(data, Mapping) else None
        raise UsageError(
            f"this report has schema {version!r} and this jaxpad reads schema {SCHEMA_VERSION}; "
            "read it with the jaxpad version that it names, or run the smoke suite again"
        )
    content = {name: value for name, value in data.items() if name not in DERIVED}
    try:
        report = revive(Report, content, "report")
    except Misfit as misfit:
        raise UsageError(
            f"not a smoke.json of schema {SCHEMA_VERSION}: {misfit}; "
            "take the file as jaxpad wrote it, or run the smoke suite again"
        ) from None
    assert isinstance(report, Report)
    return report


# traces.json: what the NVML sampler saw, in seconds since the run's start, and back.

TRACES_SCHEMA = 1


def traces_to_json(trace: Trace) -> dict[str, Any]:
    """The content of traces.json."""
    return {"schema": TRACES_SCHEMA, **to_plain(trace)}


def traces_from_json(data: Any) -> Trace:
    """The trace that `traces_to_json` gave.

    Raises UsageError for another schema version, for fields of another type, and for
    columns that are longer or shorter than their times.
    """
    if not isinstance(data, Mapping) or data.get("schema") != TRACES_SCHEMA:
        version = data.get("schema") if isinstance(data, Mapping) else None
        raise UsageError(
            f"these traces have schema {version!r} and this jaxpad reads schema {TRACES_SCHEMA}; "
            "read them with the jaxpad version that wrote them, or run the smoke suite again"
        )
    try:
        trace = revive(Trace, {n: v for n, v in data.items() if n != "schema"}, "traces")
        _even(trace)
    except Misfit as misfit:
        raise UsageError(
            f"not a traces.json of schema {TRACES_SCHEMA}: {misfit}; "
            "take the file as jaxpad wrote it, or run the smoke suite again"
        ) from None
    assert isinstance(trace, Trace)
    return trace


def _even(trace: Trace) -> None:
    for at, gpu in enumerate(trace.gpus):
        found = {f"columns.{name}": column for name, column in gpu.columns.items()}
        for name, column in found.items():
            if len(column) != len(gpu.time_s):
                samples = f"has {len(column)} samples for {len(gpu.time_s)} times"
                raise Misfit(f"traces.gpus[{at}].{name} {samples}")


# A trace with fewer rows, which still shows what matters.
#
# Ten minutes of eight GPUs at 50 Hz are 240,000 rows. Kept of each stretch of time are real
# samples, no averages: the highest power, the lowest SM clock, the highest temperature and the
# highest utilisation in it. Of each throttle reason its first and last sample are kept, and of
# the whole trace, so that counters such as the energy still span it.

MOST = 600  # rows of one GPU
_EXTREMES: dict[str, Callable[..., int]] = {
    "power_watts": max,
    "sm_mhz": min,
    "temperature_celsius": max,
    "utilisation_percent": max,
}
_REASONS = 12  # throttle reasons that NVML has, and one more
_STRETCHES = (MOST - 2 - 2 * _REASONS) // len(_EXTREMES)


def thin(trace: Trace) -> Trace:
    """At most MOST rows a GPU, numbers to the thousandth. Twice is once."""
    return replace(
        trace,
        start_s=_short(trace.start_s),
        stop_s=_short(trace.stop_s),
        gpus=tuple(map(_gpu, trace.gpus)),
        gaps=tuple(
            replace(gap, start_s=_short(gap.start_s), stop_s=_short(gap.stop_s))
            for gap in trace.gaps
        ),
    )


def _short(number: float) -> float:
    return round(number, 3)


def _gpu(gpu: GpuTrace) -> GpuTrace:
    rows = _kept(gpu) if len(gpu.time_s) > MOST else range(len(gpu.time_s))
    return replace(
        gpu,
        time_s=tuple(_short(gpu.time_s[row]) for row in rows),
        columns={name: _at(column, rows) for name, column in gpu.columns.items()},
        lost=gpu.lost and replace(gpu.lost, at_s=_short(gpu.lost.at_s)),
        gpm=gpu.gpm.map(_gpm),
    )


def _at(column: TraceColumn, rows: Sequence[int]) -> TraceColumn:
    numbers = (column[row] for row in rows)
    return tuple(None if number is None else _short(number) for number in numbers)


def _kept(gpu: GpuTrace) -> list[int]:
    """The numbers of the rows to keep, in order."""
    last = len(gpu.time_s) - 1
    rows = {0, last, *_reasons(gpu.columns.get("throttle_bits", ()))}
    for stretch in _stretches(gpu.time_s):
        for name, extreme in _EXTREMES.items():
            column = gpu.columns.get(name, ())
            known = [row for row in stretch if column and column[row] is not None]
            rows.add(extreme(known, key=column.__getitem__) if known else stretch[0])
    return sorted(rows)


def _stretches(times: Sequence[float]) -> Iterator[Sequence[int]]:
    """Rows by stretches of equal time, those that have any."""
    # Halves: the difference of two times may be more than a float holds.
    start, whole = times[0], times[-1] / 2 - times[0] / 2
    rows: list[int] = []
    place = 0
    for row, time in enumerate(times):
        share = ratio(time / 2 - start / 2, whole) or 0.0
        now = min(_STRETCHES - 1, int(_STRETCHES * share))
        if now != place and rows:
            yield rows
            rows = []
        place = now
        rows.append(row)
    yield rows


def _reasons(column: TraceColumn) -> Iterator[int]:
    """The first and the last row of each throttle reason."""
    seen: dict[int, int] = {}
    for row, bits in enumerate(column):
        for place in _bits(int(bits or 0)):
            if place not in seen and len(seen) < _REASONS:
                yield row
            if place in seen or len(seen) < _REASONS:
                seen[place] = row
    yield from seen.values()


def _bits(bits: int) -> Iterator[int]:
    return (place for place in range(bits.bit_length()) if bits >> place & 1)


def _gpm(found: GpmTrace) -> GpmTrace:
    """Each metric is a mean over its time already, so neighbours are averaged."""
    width = -(-len(found.time_s) // MOST)
    ends = range(width, len(found.time_s) + width, width) if width else ()
    return GpmTrace(
        tuple(_short(found.time_s[min(end, len(found.time_s)) - 1]) for end in ends),
        {name: _means(column, width) for name, column in found.metrics.items()},
        found.absent,
    )


def _means(column: TraceColumn, width: int) -> TraceColumn:
    parts = (column[at : at + width] for at in range(0, len(column), width or 1))
    known = ([value for value in part if value is not None] for part in parts)
    return tuple(_short(mean(part)) if part else None for part in known)


# junit.xml: a report for CI servers, in the common ground of their readers.
#
# There is no standard. This keeps to Jenkins' schema (junit-10.xsd of its xUnit plugin)
# but for a test case's `properties`, which that schema lacks and pytest writes, too.
# A suite's `properties` are in it.

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
