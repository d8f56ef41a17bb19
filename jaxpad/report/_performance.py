"""How fast it was: rates against gate and peak, the roofline, and NVML's traces."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from jaxpad.nvml import Trace
from jaxpad.report._bullet import bullet
from jaxpad.report._canvas import figure, grid, lacking
from jaxpad.report._figures import duration, number, plural
from jaxpad.report._gpus import worst
from jaxpad.report._rated import WRONG, Entry, entries, programs
from jaxpad.report._roofline import rooflines
from jaxpad.report._series import QUANTITIES, series
from jaxpad.report._signs import badge, style
from jaxpad.report._tags import Html, folded, join, section, table, tag
from jaxpad.report._throttle import throttle
from jaxpad.report._times import index
from jaxpad.report._when import when
from jaxpad.results import Report
from jaxpad.shares import percent

_BARS = "Solid bars: all devices at once. Hollow bars: one by one."
_GATE = (
    "The thick mark is the gate, the least that passes; 100 % is the peak that the GPU's data "
    "sheet gives."
)
_CPU = "A CPU has no gate and no peak here: its rates say that the programs run, no more."


def rates(report: Report, *, pictures: bool) -> Html:
    """Every program that was timed, and before them what fell short."""
    found = programs(report)
    charts = [
        figure(bullet(program, f"rate-{at}"), pictures=pictures) for at, program in enumerate(found)
    ]
    platforms = {program.platform for program in found}
    words = [_BARS, _GATE * bool(platforms - {"cpu"}), _CPU * ("cpu" in platforms)]
    return section(
        "rates",
        "Rates",
        _overrides(report),
        *_shortfalls(report),
        tag("p", " ".join(filter(None, words)), class_="why") if charts else "",
        _pictureless(pictures) if charts else "",
        grid(charts),
    )


def _pictureless(pictures: bool) -> str:
    if not pictures:
        return tag("p", "This is an interim report: pictures come with the last one.", class_="why")
    return tag("p", lacking() or "", class_="why") if lacking() else ""


def _overrides(report: Report) -> Html:
    if not report.overrides:
        return Html("")
    those = tag("ul", *(tag("li", words) for words in report.overrides))
    return tag("div", tag("b", "Bounds that are not as shipped:"), those, class_="notice")


def _shortfalls(report: Report) -> Iterable[Html]:
    """Rates that fail or say nothing, those for one reason told once."""
    wrong = [entry for entry in entries(report) if entry.verdict in WRONG]

    def cause(entry: Entry) -> tuple[int, str, str]:
        judged = entry.judgement
        assert judged is not None
        return WRONG.index(judged.verdict), judged.why, judged.remedy

    for _, group in groupby(sorted(wrong, key=cause), key=cause):
        yield _shortfall(tuple(group))


def _shortfall(group: tuple[Entry, ...]) -> Html:
    judged = group[0].judgement
    assert judged is not None
    told = (("Why", judged.why), ("Remedy", judged.remedy), ("Gate from", judged.source))
    places = ", ".join(dict.fromkeys(_where(entry) for entry in group))
    heads = ("Program", "Where", "How", "Rate", "Gate", "Of peak")
    return tag(
        "article",
        tag("h3", badge(judged.verdict), " ", f"{places}: {plural(len(group), 'rate')}"),
        *(tag("p", tag("b", f"{name}: "), text, class_="told") for name, text in told if text),
        folded("Which rates", table(f"Rates of {places}", heads, map(_row, group))),
        class_=style(judged.verdict),
    )


def _where(entry: Entry) -> str:
    return "all devices" if entry.rate.device is None else entry.place


def _row(entry: Entry) -> tuple[str, ...]:
    rate = entry.rate
    how = "all at once" if rate.together or rate.device is None else "one by one"
    gate = "none" if entry.gate is None else number(entry.gate)
    share = "" if entry.share is None else percent(entry.share)
    return rate.name, _where(entry), how, f"{number(rate.median)} {rate.unit}", gate, share


def roofline(report: Report, *, pictures: bool) -> Html:
    """The roofline of each kind of GPU, with the numbers of its points unfolded."""
    found = [figure(chart, pictures=pictures, beside=True) for chart in rooflines(report)]
    return section("roofline", "Roofline", *found)


def traces(report: Report, trace: Trace | None, *, pictures: bool) -> Html:
    """What NVML said while the checks ran."""
    if trace is None:
        return Html("")
    told = _told(report, trace)
    if not trace.gpus:
        return section("traces", "NVML over time", *told)
    verdicts = worst(report, trace)
    charts = [when(report, trace)]
    charts += [series(report, trace, each, verdicts) for each in QUANTITIES]
    charts.append(throttle(report, trace, verdicts))
    drawn = [figure(chart, pictures=pictures) for chart in charts]
    return section("traces", "NVML over time", *told, _pictureless(pictures), grid(drawn))


def _told(report: Report, trace: Trace) -> list[Html]:
    """How it was sampled, and what is missing."""
    whole = duration(trace.stop_s - trace.start_s)
    how = (
        f"Sampled every {duration(trace.period_s)} for {whole}; times are minutes and seconds "
        "after the run's start. Grey: the time of every other check file. All lanes of a picture "
        "have one scale, up to its highest value."
    )
    words = [how]
    if trace.gaps:
        longest = max(trace.gaps, key=lambda gap: gap.seconds)
        gaps = f"{plural(len(trace.gaps), 'gap')} without samples"
        words.append(f"{gaps}, the longest {duration(longest.seconds)}: {longest.why}.")
    told = [tag("p", text, class_="why") for text in words]
    if trace.error:
        told.append(tag("p", tag("b", "Samples are missing: "), trace.error, class_="notice"))
    lost = [(index(report, at, gpu), gpu.lost) for at, gpu in enumerate(trace.gpus) if gpu.lost]
    if lost:
        those = (f"GPU {at}: {one.reason}" for at, one in lost)
        told.append(tag("p", tag("b", "Lost: "), join(["; ".join(those)]), class_="alarm"))
    return told
