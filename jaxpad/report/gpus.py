"""The GPUs of report.html: a card each, with what is wrong and what to do about it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import groupby

from jaxpad.core.markup import (
    Html,
    badge,
    figure,
    folded,
    grid,
    join,
    lacking,
    section,
    style,
    table,
    tag,
)
from jaxpad.core.results import Fact, Gpu, GpuFinding, Judgement, Report, Verdict, overall
from jaxpad.core.text import clock, duration, known, number, percent, plural, ratio
from jaxpad.nvml import Lost, Trace
from jaxpad.report.rates import WRONG, Entry, bullet, entries, programs
from jaxpad.report.roofline import rooflines
from jaxpad.report.series import QUANTITIES, index, series
from jaxpad.report.text import ORDER
from jaxpad.report.throttle import throttle, when

_TRUE = re.compile(r"true|1", re.IGNORECASE)
_LINK = re.compile(r"nvlinks\.(\d+)\.active")
UNTOLD = "not told"
_GONE = (
    "drain the node and reset the GPU (nvidia-smi -r) or reboot; if it is lost again, reseat it "
    "and have it replaced"
)


def gpus(report: Report, trace: Trace | None = None) -> Html:
    """The section; nothing on a machine without GPUs."""
    cards = (_card(gpu, _judged(report, gpu)) for gpu in told(report, trace))
    return section("gpus", "GPUs", tag("div", *cards, class_="cards")) if report.gpus else Html("")


def told(report: Report, trace: Trace | None) -> tuple[Gpu, ...]:
    """The GPUs, and of each that was lost while it was sampled a finding that says so."""
    gone = {index(report, at, one): one.lost for at, one in enumerate(trace.gpus if trace else ())}
    return tuple(_with(gpu, gone.get(gpu.index)) for gpu in report.gpus)


def _with(gpu: Gpu, lost: Lost | None) -> Gpu:
    if lost is None:
        return gpu
    seen = f"stopped answering at {clock(lost.at_s)}: {lost.reason}"
    return replace(gpu, findings=(*gpu.findings, GpuFinding("lost", Verdict.FAIL, seen, "", _GONE)))


def _judged(report: Report, gpu: Gpu) -> tuple[Judgement, ...]:
    return tuple(judgement for judgement in report.judgements if judgement.gpu == gpu.index)


def _card(gpu: Gpu, judged: tuple[Judgement, ...]) -> Html:
    verdict = _worst(gpu, judged)
    wrong = [found for found in gpu.findings if found.verdict in WRONG]
    about = gpu.description or "no description in configs/gpus"
    return tag(
        "article",
        tag("h3", f"GPU {gpu.index} ", badge(verdict)),
        tag("p", gpu.name or "a GPU without a name", tag("br"), about, class_="which"),
        tag("dl", *_facts(gpu, judged)),
        *(_wrong(found) for found in sorted(wrong, key=lambda found: WRONG.index(found.verdict))),
        folded(f"All of GPU {gpu.index}", _findings(gpu), _readings(gpu)),
        class_=f"gpu {style(verdict)}",
    )


def _worst(gpu: Gpu, judged: Iterable[Judgement]) -> Verdict:
    found = [finding.verdict for finding in gpu.findings]
    return overall([*found, *(judgement.verdict for judgement in judged)])


def worst(report: Report, trace: Trace | None) -> dict[int, Verdict]:
    """Each GPU's verdict, the worst of its findings and of its rates, by NVML's index."""
    return {gpu.index: _worst(gpu, _judged(report, gpu)) for gpu in told(report, trace)}


def _facts(gpu: Gpu, judged: tuple[Judgement, ...]) -> Iterable[Html]:
    devices = ", ".join(map(str, gpu.devices)) or "none"
    yield _pair("JAX devices" if len(gpu.devices) > 1 else "JAX device", devices)
    yield _pair("PCI bus", gpu.pci_bus_id or UNTOLD)
    for title, told in _TOLD.items():
        yield _pair(title, *told(gpu))
    if judged:
        yield _pair("Rates", _count(judged))


def _pair(title: str, told: str, share: float | None = None) -> Html:
    """A name and what is told, with a bar for its share of the most there can be."""
    bar = Html("")
    if share is not None:
        filled = f"--share:{100 * min(1.0, max(0.0, share)):.0f}%"
        bar = tag("span", class_="bar", style=filled, aria_hidden="true")
    return tag("div", tag("dt", title), tag("dd", told, bar))


def _count(judged: tuple[Judgement, ...]) -> str:
    verdicts = [judgement.verdict for judgement in judged]
    return ", ".join(f"{verdicts.count(v)} {v}" for v in ORDER if v in verdicts)


def _value(gpu: Gpu, path: str) -> str | None:
    return gpu.readings[path].value if path in gpu.readings else None


def _number(gpu: Gpu, path: str) -> float | None:
    try:
        found = float(_value(gpu, path) or "")
    except ValueError:
        return None
    return found if math.isfinite(found) else None


Told = tuple[str, float | None]


def _of(path: str, most: str, unit: str, scale: float = 1.0) -> Callable[[Gpu], Told]:
    """`689 of 700 W`, with the share."""

    def told(gpu: Gpu) -> Told:
        """In words, with the share for a bar where both are known."""
        now, top = _number(gpu, path), _number(gpu, most)
        if now is None:
            return UNTOLD, None
        if not top:
            return f"{number(round(now * scale, 1))} {unit}", None
        shown = f"{number(round(now * scale, 1))} of {number(round(top * scale, 1))} {unit}"
        return shown, ratio(now, top)

    return told


def _temperature(gpu: Gpu) -> Told:
    now = _number(gpu, "temperature.gpu_celsius")
    margin = _number(gpu, "temperature.margin_celsius")
    if now is None:
        return UNTOLD, None
    slows = f", slows at {now + margin:g}" if margin is not None else ""
    return f"{now:g} °C{slows}", None


def _ecc(gpu: Gpu) -> Told:
    on, errors = _value(gpu, "ecc.enabled"), _value(gpu, "ecc.uncorrected_volatile")
    if on is None:
        return UNTOLD, None
    if not _TRUE.fullmatch(on):
        return "off", None
    return "on" if errors is None else f"on, {errors} uncorrected", None


def _pcie(gpu: Gpu) -> Told:
    width, generation = _value(gpu, "pcie.width"), _value(gpu, "pcie.generation")
    if width is None:
        return UNTOLD, None
    most = _value(gpu, "pcie.max_width")
    of = f" of x{most}" if most and most != width else ""
    return f"x{width}{of}" + (f", generation {generation}" if generation else ""), None


def _nvlink(gpu: Gpu) -> Told:
    links = [fact for path, fact in gpu.readings.items() if _LINK.fullmatch(path)]
    if not links:
        return "none told", None
    up = sum(bool(_TRUE.fullmatch(fact.value or "")) for fact in links)
    return f"{up} of {len(links)} up", None


_TOLD: dict[str, Callable[[Gpu], Told]] = {
    "Temperature": _temperature,
    "Power": _of("power.draw_watts", "power.enforced_limit_watts", "W"),
    "SM clock": _of("clocks.sm_mhz", "clocks.max_sm_mhz", "MHz"),
    "Memory used": _of("memory.used_bytes", "memory.total_bytes", "GB", 1e-9),
    "ECC": _ecc,
    "PCIe": _pcie,
    "NVLink": _nvlink,
}


def _wrong(found: GpuFinding) -> Html:
    why = f" ({found.why})" if found.why else ""
    remedy = tag("p", tag("b", "Remedy: "), found.remedy, class_="told") if found.remedy else ""
    told = tag("p", badge(found.verdict), " ", tag("b", found.name), f": {found.seen}{why}")
    return tag("div", told, remedy, class_="finding")


def _findings(gpu: Gpu) -> Html:
    if not gpu.findings:
        return Html("")
    heads = ("Question", "Verdict", "Seen")
    rows = ((one.name, badge(one.verdict), _seen(one)) for one in gpu.findings)
    return table(f"GPU {gpu.index}: health", heads, rows)


def _seen(one: GpuFinding) -> str:
    return join([one.seen, tag("div", one.why, class_="why") if one.why else ""])


def _readings(gpu: Gpu) -> Html:
    facts = {"uuid": Fact(gpu.uuid, None if gpu.uuid else "not read"), **gpu.readings}
    rows = ((tag("code", path), known(fact)) for path, fact in facts.items())
    return table(f"GPU {gpu.index}: what NVML said", ("Reading", "Value"), rows)


# How fast it was: rates against gate and peak, the roofline, and NVML's traces.

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
