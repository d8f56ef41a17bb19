"""Why a rate is short of what its model should give: the first reason that fits.

A reason outranks blame: a GPU that is capped, sliced, hot or behind a narrow link is told
so before it is called slow. Order matters: what breaks comes before what limits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxpad.core.results import Verdict
from jaxpad.core.text import percent
from jaxpad.gates.evidence import Peak, Subject, of_gpu
from jaxpad.health.clocks import FAULTS

SLOW = (
    "run it again alone on this GPU (CUDA_VISIBLE_DEVICES) and on a good node; if it stays "
    "slow, run dcgmi diag -r 3, and have the GPU replaced"
)
_MOSTLY = 0.5  # of the samples


@dataclass(frozen=True)
class Reason:
    """What explains a shortfall. `limit`: it was set by somebody, and --strict fails it."""

    verdict: Verdict
    why: str
    remedy: str = ""
    limit: bool = False


def explain(subject: Subject, peak: Peak | None, gate: float) -> Reason:
    """The reason for a rate below `gate`; that nothing explains it is one, too.

    `peak` is None where a rate is held to its peers: then a power limit that all of them
    have explains nothing.
    """
    for find in _REASONS:
        found = find(subject, peak, gate)
        if found is not None:
            return _strict(found) if subject.evidence.strict else found
    return Reason(Verdict.FAIL, "nothing that NVML tells explains it", SLOW)


def _strict(found: Reason) -> Reason:
    if found.limit and found.verdict is not Verdict.FAIL:
        return Reason(Verdict.FAIL, f"{found.why} (--strict)", found.remedy)
    return found


def _lost(subject: Subject, _peak: Peak | None, _gate: float) -> Reason | None:
    trace = of_gpu(subject.evidence.trace, subject.gpu) if subject.gpu else None
    if trace is None or trace.lost is None:
        return None
    remedy = "drain the node and reset the GPU (nvidia-smi -r) or reboot"
    return Reason(Verdict.FAIL, f"the GPU was lost in mid-run: {trace.lost.reason}", remedy)


def _held_down(subject: Subject, _peak: Peak | None, _gate: float) -> Reason | None:
    """Heat or the power supply, in more than a stray sample."""
    window = subject.window
    least = subject.bound("slowdown_share_most").value
    for name, (words, remedy) in FAULTS.items():
        share = window.share(name) if window else 0.0
        if share > least:
            return Reason(Verdict.FAIL, f"{words} in {percent(share)} of the samples", remedy)
    return None


def _shared(subject: Subject, _peak: Peak | None, _gate: float) -> Reason | None:
    """Somebody was on the GPU before we began."""
    running = subject.gpu.processes.compute.value if subject.gpu else None
    if not running:
        return None
    who = ", ".join(f"pid {each.pid}" for each in running[:3])
    remedy = "end what is left over (fuser -v /dev/nvidia*), or ask again on an idle GPU"
    return Reason(Verdict.INCONCLUSIVE, f"another process computes on it ({who})", remedy)


def _narrow_link(subject: Subject, _peak: Peak | None, _gate: float) -> Reason | None:
    if subject.rate.program not in ("host_to_device", "device_to_host"):
        return None
    link = subject.under_load.pcie if subject.under_load else None
    now, most = (link.width.value, link.max_width.value) if link else (None, None)
    if now and most and now < most:
        remedy = "drain the node, reseat the GPU and its riser or cable"
        return Reason(Verdict.FAIL, f"its PCIe link has x{now} of x{most} lanes", remedy)
    return None


def _capped(subject: Subject, _peak: Peak | None, _gate: float) -> Reason | None:
    power = subject.gpu.power if subject.gpu else None
    now = power.enforced_limit_watts.value if power else None
    default = power.default_limit_watts.value if power else None
    if not now or not default or now >= default * subject.bound("power_limit_least").value:
        return None
    words = f"its power is capped at {now:g} of {default:g} W"
    remedy = f"nvidia-smi -i {subject.index} -pl {default:g}, or set power_limit_least"
    return Reason(Verdict.INCONCLUSIVE, words, remedy, limit=True)


def _clocked_down(subject: Subject, _peak: Peak | None, _gate: float) -> Reason | None:
    """Clocks that somebody set, or that stay low while no limit holds them."""
    window, clocks = subject.window, subject.gpu.clocks if subject.gpu else None
    if window is None or clocks is None:
        return None
    least = subject.bound("clock_least").value
    for what, now, most in (
        ("SM", window.sm_mhz, clocks.max_sm_mhz.value),
        ("memory", window.memory_mhz, clocks.max_memory_mhz.value),
    ):
        held = what == "SM" and window.share("sw_power_cap") > _MOSTLY
        if now is not None and most and now < least * most and not held:
            words = f"its {what} clock is at {now:g} of {most:g} MHz"
            remedy = f"nvidia-smi -i {subject.index} -rgc, -rmc and -rac take set clocks back"
            return Reason(Verdict.INCONCLUSIVE, words, remedy, limit=True)
    return None


def _at_full_power(subject: Subject, peak: Peak | None, _gate: float) -> Reason | None:
    """At its own, full power limit: held to what its clock allows, which is normal."""
    window, clocks = subject.window, subject.gpu.clocks if subject.gpu else None
    if peak is None or window is None or clocks is None or not peak.confirmed:
        return None
    now, most = window.sm_mhz, clocks.max_sm_mhz.value
    if not now or not most or window.share("sw_power_cap") <= _MOSTLY:
        return None
    if subject.rate.median < peak.gate * now / most:
        return None
    return Reason(Verdict.PASS, f"its power limit keeps it at {now:g} of {most:g} MHz: normal")


def _unconfirmed(_subject: Subject, peak: Peak | None, _gate: float) -> Reason | None:
    if peak is None or peak.confirmed:
        return None
    remedy = "send a source for the peak, or set the bound in a --thresholds file"
    return Reason(Verdict.INCONCLUSIVE, f"its peak is {peak.source}", remedy, limit=True)


def _disturbed(subject: Subject, _peak: Peak | None, gate: float) -> Reason | None:
    """The batches are further apart than the rate is short: some of them were held up."""
    rate = subject.rate
    if not rate.median + rate.spread >= gate:  # a spread that is no number excuses nothing
        return None
    words = f"its batches differ by {rate.spread:.3g} {rate.unit}, more than it falls short by"
    remedy = "see that nothing else uses the CPU, the links or the GPU, then run it again"
    return Reason(Verdict.INCONCLUSIVE, words, remedy)


_REASONS: tuple[Callable[[Subject, Peak | None, float], Reason | None], ...] = (
    _lost,
    _held_down,
    _shared,
    _narrow_link,
    _capped,
    _clocked_down,
    _at_full_power,
    _unconfirmed,
    _disturbed,
)
