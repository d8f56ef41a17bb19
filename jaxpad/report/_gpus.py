"""The GPUs of report.html: a card each, with what is wrong and what to do about it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from jaxpad.nvml import Lost, Trace
from jaxpad.report._digest import ORDER
from jaxpad.report._figures import clock, known, number
from jaxpad.report._rated import WRONG
from jaxpad.report._signs import badge, style
from jaxpad.report._tags import Html, folded, join, section, table, tag
from jaxpad.report._times import index
from jaxpad.results import Fact, Gpu, GpuFinding, Judgement, Report
from jaxpad.shares import ratio
from jaxpad.verdict import Verdict, overall

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
