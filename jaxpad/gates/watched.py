"""What the sampler, and a second look, say of the run as a whole.

A fault that was seen fails. What was not seen is no evidence: it is inconclusive, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from jaxpad.core.bounds import Bounds
from jaxpad.core.results import Verdict, lack
from jaxpad.core.text import percent, ratio
from jaxpad.gates.evidence import Evidence, window
from jaxpad.gates.judging import UNSEEN, Answer
from jaxpad.health.clocks import FAULTS
from jaxpad.health.kernel import hardware
from jaxpad.nvml import GpuState, GpuTrace, Reading, Snapshot, Trace, Xid

RESET = "drain the node and reset the GPU (nvidia-smi -r) or reboot; replace it if it comes again"
SLOW_DRIVER = "see dmesg for Xid lines and for tasks blocked in the nvidia module"
ODD = "compare with nvidia-smi -q; if it says the same, reset the GPU or update the driver"
_LONGEST_GAP_S = 1.5
_UNWATCHED_MOST = 0.5  # of a run; the thread has no turn while much is compiled


def _unsure(why: str, remedy: str = UNSEEN) -> Answer:
    return Answer(Verdict.INCONCLUSIVE, why, remedy)


def _unseen(trace: Trace) -> str:
    """Why a trace is no evidence; empty where it is."""
    if trace.error:
        return f"the sampler saw too little: {trace.error}"
    each = (lack(f"sample of GPU {at}", gpu.time_s) for at, gpu in enumerate(trace.gpus))
    return lack("GPU", trace.gpus) or next(filter(None, each), "") or _unwatched(trace)


def _unwatched(trace: Trace) -> str:
    length = trace.stop_s - trace.start_s
    share = ratio(max(_holes(trace)), length) or 0.0
    if share <= _UNWATCHED_MOST:
        return ""
    return f"{percent(share)} of the run was not sampled"


def _holes(trace: Trace) -> Iterator[float]:
    """Seconds without a sample, as the sampler tells it and by the samples of each GPU."""
    yield sum(gap.seconds for gap in trace.gaps)
    for gpu in trace.gpus:
        times = (trace.start_s, *gpu.time_s, trace.stop_s)
        steps = (after - before for before, after in pairwise(times))
        yield sum(step for step in steps if step > max(_LONGEST_GAP_S, 3 * trace.period_s))


def stayed(trace: Trace) -> Answer:
    """Fail: a GPU stopped answering. Inconclusive: NVML did, was slow, or told what cannot be."""
    lost = [f"GPU {at}: {gpu.lost.reason}" for at, gpu in enumerate(trace.gpus) if gpu.lost]
    if lost:
        return Answer(Verdict.FAIL, f"lost in mid-run: {'; '.join(lost)}", RESET)
    slow = [gap for gap in trace.gaps if gap.seconds > _LONGEST_GAP_S and gap.why.startswith("GPU")]
    if slow and not trace.error:
        return Answer(Verdict.INCONCLUSIVE, f"NVML was slow: {slow[0].why}", SLOW_DRIVER)
    if why := _unseen(trace):
        return _unsure(why, SLOW_DRIVER)
    odd = [f"GPU {at} {words}" for at, gpu in enumerate(trace.gpus) for words in _garbage(gpu)]
    if odd:
        return Answer(Verdict.INCONCLUSIVE, "; ".join(odd[:4]), ODD)
    return Answer(Verdict.PASS)


def _garbage(gpu: GpuTrace) -> Iterator[str]:
    return (f"{name} {why}" for name, why in gpu.absent.items() if why.startswith("garbage"))


def slowed(trace: Trace, bounds: Bounds) -> Answer:
    """Fail: heat or the power supply held clocks down for more than a moment of the run."""
    bound = bounds["slowdown_share_most"]
    for at, gpu in enumerate(trace.gpus):
        for name, (words, remedy) in FAULTS.items():
            share = max(_counted(gpu, name), _sampled(gpu, name))
            if share > bound.value:
                reason = f"GPU {at}: {words} for {percent(share)} of the run"
                return Answer(Verdict.FAIL, reason, remedy)
    if why := _unseen(trace) or _untold(trace):
        return _unsure(why, SLOW_DRIVER)
    return Answer(Verdict.PASS)


def _untold(trace: Trace) -> str:
    """The first GPU of which neither samples nor counters say what held its clocks."""
    for at, gpu in enumerate(trace.gpus):
        sampled = [bits for bits in gpu.columns.get("throttle_bits", ()) if bits is not None]
        counted = [name for name in FAULTS if name in gpu.slowed_ns and gpu.slowed_ns[name].known]
        if why := lack(f"clocks event reason of GPU {at}", sampled or counted):
            return why
    return ""


def _counted(gpu: GpuTrace, name: str) -> float:
    """By the driver's own counters, which miss nothing between two samples."""
    spent = gpu.slowed_ns.get(name, Reading(None, "not counted")).value or 0
    length = gpu.time_s[-1] - gpu.time_s[0] if len(gpu.time_s) > 1 else 0.0
    return ratio(spent / 1e9, length) or 0.0


def _sampled(gpu: GpuTrace, name: str) -> float:
    if not gpu.time_s:
        return 0.0
    seen = window(gpu, gpu.time_s[0], gpu.time_s[-1])
    return seen.share(name) if seen else 0.0


def clocked(evidence: Evidence) -> Answer:
    """Inconclusive: a clock that somebody set, or that stays low with nothing to hold it.

    By the state of each GPU under load.
    """
    least = evidence.bounds["clock_least"].value
    known = [gpu for gpu in evidence.loaded.values() if gpu.clocks.sm_mhz.known]
    odd = [words for gpu in evidence.loaded.values() for words in _low(gpu, least)]
    if not odd:
        why = lack("GPU under load", evidence.loaded) or lack("clock under load", known)
        return _unsure(why) if why else Answer(Verdict.PASS)
    verdict = Verdict.FAIL if evidence.strict else Verdict.INCONCLUSIVE
    remedy = "nvidia-smi -rgc, -rmc and -rac take set clocks back"
    return Answer(verdict, "; ".join(odd[:4]), remedy)


def _low(gpu: GpuState, least: float) -> Iterator[str]:
    held = set(gpu.throttle.reasons.value or ())
    if "gpu_idle" in held:
        return
    clocks = gpu.clocks
    if not held & {"sw_power_cap", *FAULTS}:
        yield from _below(gpu.index, "SM", clocks.sm_mhz, clocks.max_sm_mhz, least)
    yield from _below(gpu.index, "memory", clocks.memory_mhz, clocks.max_memory_mhz, least)
    if "applications_clocks_setting" in held:
        yield f"GPU {gpu.index}: its clocks are set (nvidia-smi -ac or -lgc)"


def _below(
    index: int, what: str, now: Reading[int], most: Reading[int], least: float
) -> Iterator[str]:
    if now.value is not None and most.value and now.value < least * most.value:
        yield f"GPU {index}: its {what} clock is at {now.value} of {most.value} MHz under load"


def _of_links(*names: str) -> Callable[[GpuState], Reading[int]]:
    """The sum of these counters over a GPU's NVLinks."""

    def read(gpu: GpuState) -> Reading[int]:
        told = [getattr(link, name) for link in gpu.nvlinks.value or () for name in names]
        known = [found.value for found in told if found.value is not None]
        reason = gpu.nvlinks.reason or "not told: no NVLink tells its errors"
        return Reading(sum(known)) if known else Reading(None, reason)

    return read


_COUNTERS: dict[str, Callable[[GpuState], Reading[int]]] = {
    "uncorrected ECC errors": lambda gpu: gpu.ecc.uncorrected_volatile,
    "rows replaced for uncorrectable errors": lambda gpu: gpu.remapped_rows.uncorrectable,
    "PCIe replays": lambda gpu: gpu.pcie.replays,
    "NVLink errors": _of_links("replay_errors", "recovery_errors", "crc_errors", "symbol_errors"),
    "failed NVLink recoveries": _of_links("failed_recoveries"),
}
_FATAL = ("uncorrected ECC errors", "rows replaced for uncorrectable errors")


_NO_SUCH = ("NVMLError_NotSupported", "NVMLError_FunctionNotFound", "not asked", "not told")


def counters(
    before: Snapshot, after: Snapshot, most_replays: float, most_errors: float = 100.0
) -> Answer:
    """Fail: memory errors or Xids that came during the run.

    Inconclusive: more PCIe replays or NVLink errors than given, or a failed NVLink recovery.
    Not applicable to GPUs that count none of it, where the kernel's log cannot be read either.
    """
    grown = list(_grown(before, after))
    fatal = [words for name, words, _ in grown if name in _FATAL]
    xids = _new_xids(before, after)
    fatal += [f"Xid {xid.code} of {xid.pci_bus_id}" for xid in hardware(xids)]
    if fatal:
        remedy = (
            "drain the GPU and reset it (nvidia-smi -r) or reboot; if it comes back, replace it"
        )
        return Answer(Verdict.FAIL, f"during the run: {'; '.join(fatal)}", remedy)
    if xids:
        words = ", ".join(f"Xid {xid.code} of {xid.pci_bus_id}" for xid in xids[:4])
        remedy = "see dmesg for the process that it names; look the code up in NVIDIA's catalogue"
        return Answer(Verdict.INCONCLUSIVE, f"during the run: {words}", remedy)
    limits = {"PCIe replays": most_replays, "NVLink errors": most_errors}
    many = [words for name, words, by in grown if by > limits.get(name, 0)]
    if many:
        remedy = "reseat the GPU and its riser or cable, then run again"
        return Answer(Verdict.INCONCLUSIVE, f"during the run: {'; '.join(many[:4])}", remedy)
    if gone := list(_gone(before, after)):
        return _unsure(f"in the second look: {'; '.join(gone[:4])}", SLOW_DRIVER)
    if all(map(_countless, before.gpus)) and not after.kernel.xids.known:
        return Answer(Verdict.NOT_APPLICABLE, "these GPUs count no errors")
    return Answer(Verdict.PASS)


def _countless(gpu: GpuState) -> bool:
    """Whether a GPU has no counters at all, as integrated ones."""
    return all(read(gpu).error in _NO_SUCH for read in _COUNTERS.values())


def _gone(before: Snapshot, after: Snapshot) -> Iterator[str]:
    """What the first look saw and the second did not; a look that saw nothing is told, too."""
    for seen in (before, after):
        if why := lack("GPU", seen.gpus):
            yield f"{why} ({seen.gpu_count.reason})" if seen.gpu_count.reason else why
            return
    second = {_name(gpu): gpu for gpu in after.gpus}
    for gpu in before.gpus:
        now = second.get(_name(gpu))
        if now is None:
            yield f"GPU {gpu.index} is not listed any more"
            continue
        told = [name for name, read in _COUNTERS.items() if read(gpu).known]
        if not _countless(gpu):
            yield from filter(None, [lack(f"counter of GPU {gpu.index}", told)])
        lost = (name for name in told if not _COUNTERS[name](now).known)
        yield from (f"GPU {gpu.index} does not tell its {name} any more" for name in lost)
    if before.kernel.xids.known and not after.kernel.xids.known:
        yield f"the kernel's log cannot be read any more ({after.kernel.xids.reason})"


def _name(gpu: GpuState) -> str:
    """Who a GPU is, in both looks."""
    own = gpu.identity
    return own.uuid.value or own.pci_bus_id.value or f"GPU {gpu.index}"


def _grown(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, str, int]]:
    """Counter, words and growth, for each GPU that both snapshots have."""
    first = {_name(gpu): gpu for gpu in before.gpus}
    for gpu in after.gpus:
        old = first.get(_name(gpu))
        for name, read in _COUNTERS.items() if old else ():
            was, now = read(old).value if old else None, read(gpu).value
            if was is not None and now is not None and now > was:
                yield name, f"GPU {gpu.index}: {now - was} {name}", now - was


def _new_xids(before: Snapshot, after: Snapshot) -> list[Xid]:
    """Xids of the kernel's log that the first look did not see."""
    old = {(xid.seconds, xid.code) for xid in before.kernel.xids.value or ()}
    return [xid for xid in after.kernel.xids.value or () if (xid.seconds, xid.code) not in old]
