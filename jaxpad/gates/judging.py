"""From rates to judgements: each held to its peak, then to its peers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jaxpad.checks import Failed, Inconclusive, not_applicable
from jaxpad.core.results import Judgement, Rate, Verdict, lack, overall
from jaxpad.core.text import percent, plural, ratio
from jaxpad.gates.evidence import Evidence, Peak, Subject, peak, subjects
from jaxpad.gates.explanation import Reason, explain
from jaxpad.health import Finding
from jaxpad.machine.facts import Survey

UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
TRANSFERS = ("host_to_device", "device_to_host")
PEERS_TO_BLAME = 3  # of two that differ nobody knows which is at fault


def judge(rates: Sequence[Rate], evidence: Evidence) -> tuple[Judgement, ...]:
    """What each rate is worth, in the same order. Raises nothing."""
    found = subjects(rates, evidence)
    alone = [_alone(subject, _largest(subject, found)) for subject in found]
    return tuple(
        _among_peers(subject, one, found) for subject, one in zip(found, alone, strict=True)
    )


def _largest(subject: Subject, others: Sequence[Subject]) -> bool:
    """Whether no message of the same program is larger: collectives are judged by that one."""
    same = [_size(each.rate) for each in others if each.rate.program == subject.rate.program]
    return _size(subject.rate) >= max(same)


def _size(rate: Rate) -> float:
    """Bytes of a message by its words, `64 MiB`; 0 for a variant that is no size."""
    number, _, unit = rate.variant.partition(" ")
    return float(number) * UNITS[unit] if unit in UNITS and number.isdecimal() else 0.0


def _is_rate(rate: Rate) -> bool:
    """NaN, infinity and nothing are none, and say nothing of those beside them."""
    return math.isfinite(rate.median) and rate.median > 0


def _alone(subject: Subject, largest: bool) -> Judgement:
    """The rate by itself."""
    rate = subject.rate
    if not _is_rate(rate):
        remedy = "run it again; if it stays, file an issue with this smoke.json"
        reason = Reason(Verdict.INCONCLUSIVE, f"{rate.median:g} {rate.unit} is no rate", remedy)
        return _judgement(subject, reason)
    if rate.platform == "cpu":
        return _judgement(subject, Reason(Verdict.NOT_APPLICABLE, "a CPU is held to nothing"))
    if subject.unmatched:
        remedy = "run jaxpad health and nvidia-smi -L; a GPU that NVML does not list is not judged"
        return _judgement(subject, Reason(Verdict.INCONCLUSIVE, subject.unmatched, remedy))
    most = peak(subject)
    if isinstance(most, str):
        return _judgement(subject, _no_peak(subject, most))
    if rate.device is None and not largest:
        return _judgement(subject, Reason(Verdict.NOT_APPLICABLE, "a larger message is judged"))
    return _held(subject, most)


def _no_peak(subject: Subject, why: str) -> Reason:
    """A GPU that is not described is unknown; a program without a peak is not."""
    if subject.model is None and subject.gpu is not None and subject.rate.program == "gemm":
        return Reason(Verdict.INCONCLUSIVE, why, "describe it as docs/gpus.md says, and send it")
    return Reason(Verdict.NOT_APPLICABLE, why)


def _held(subject: Subject, most: Peak) -> Judgement:
    """Held to a peak: above it is as wrong as below the gate."""
    rate, above = subject.rate, subject.bound("rate_most")
    if rate.median > above.value * most.value and most.confirmed:
        why = f"faster than its peak of {most.value:.4g} {rate.unit}: physically implausible"
        remedy = "check the GPU's description, or file an issue with this smoke.json"
        return _judgement(subject, Reason(Verdict.INCONCLUSIVE, why, remedy), most)
    if rate.median >= most.gate:
        return _judgement(subject, Reason(Verdict.PASS, _sliced(most)), most)
    return _judgement(subject, explain(subject, most, most.gate), most)


def _sliced(most: Peak) -> str:
    return f"a slice of {percent(most.share)} of the GPU" if most.share < 1 else ""


def _judgement(subject: Subject, reason: Reason, most: Peak | None = None) -> Judgement:
    return Judgement(
        rate=subject.rate,
        gpu=subject.index,
        verdict=reason.verdict,
        peak=most.value if most else None,
        gate=most.gate if most else None,
        source=most.told if most else "",
        why=reason.why,
        remedy=reason.remedy,
    )


def _among_peers(subject: Subject, one: Judgement, others: Sequence[Subject]) -> Judgement:
    """A rate that is well by itself, held to the median of its peers."""
    if subject.gpu is None or one.verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE):
        return one
    same = [each.rate.median for each in _peers(subject, others) if _is_rate(each.rate)]
    if not same:
        return one
    least = subject.bound("peer_least")
    gate = least.value * statistics.median(same)
    if subject.rate.median >= gate:
        return one if one.verdict is Verdict.PASS else _like_its_peers(one, gate, least.origin)
    reason = explain(subject, None, gate)
    if len(same) + 1 < PEERS_TO_BLAME and reason.verdict is Verdict.FAIL:
        remedy = "swap the two GPUs, or measure each on its own, to see which is at fault"
        reason = Reason(Verdict.INCONCLUSIVE, "of two that differ either may be at fault", remedy)
    share = ratio(subject.rate.median, statistics.median(same)) or 0.0
    why = f"{percent(share)} of its peers' median; {reason.why}"
    told = f"at least {least.value:g} {least.unit} ({least.origin})"
    return replace(
        one, verdict=reason.verdict, gate=gate, source=told, why=why, remedy=reason.remedy
    )


def _like_its_peers(one: Judgement, gate: float, origin: str) -> Judgement:
    return replace(
        one, verdict=Verdict.PASS, gate=gate, source=f"its peers ({origin})", why="like its peers"
    )


def _peers(subject: Subject, others: Sequence[Subject]) -> Iterator[Subject]:
    """The same program in the same way on other GPUs of the model, cut alike.

    None for transfers of all at once: who shares a switch is no fault.
    """
    if subject.rate.together and subject.rate.program in TRANSFERS:
        return iter(())

    def key(each: Subject) -> tuple[object, ...]:
        rate, gpu = each.rate, each.gpu
        model = gpu.identity.pci_device_id.value or gpu.identity.name.value if gpu else None
        slices = each.mig.sm_count.value if each.mig else None
        return rate.program, rate.variant, rate.together, model, slices

    own = key(subject)
    return (each for each in others if each is not subject and each.gpu and key(each) == own)


# One answer for many judgements, or for many findings: verdict, reason and remedy.

_NAMED = 4
UNSEEN = "run jaxpad smoke again, whole; if it stays, see jaxpad health"


@dataclass(frozen=True)
class Answer:
    """What a check says."""

    verdict: Verdict
    reason: str = ""
    remedy: str = ""

    def give(self) -> None:
        """Return for a pass; raise for the others, as a check does."""
        if self.verdict is Verdict.FAIL:
            raise Failed(self.reason, self.remedy)
        if self.verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive(self.reason, self.remedy)
        if self.verdict is Verdict.NOT_APPLICABLE:
            not_applicable(self.reason)


def of_judgements(found: Sequence[Judgement]) -> Answer:
    """The worst of the rates: which they are, what they are held to, and why they are short."""
    return _worst("rate", [(one.verdict, _told(one), one.remedy) for one in found])


def of_findings(found: Sequence[Finding]) -> Answer:
    """The worst of the findings of `jaxpad health`, each with the GPU that it is of."""
    return _worst(
        "answer of the driver", [(each.verdict, _found(each), each.remedy) for each in found]
    )


def _worst(what: str, told: Sequence[tuple[Verdict, str, str]]) -> Answer:
    if why := lack(what, told):
        return Answer(Verdict.INCONCLUSIVE, why, UNSEEN)
    verdict = overall(each[0] for each in told)
    worst = [(words, remedy) for each, words, remedy in told if each is verdict]
    lines = list(dict.fromkeys(words for words, _ in worst if words))
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    remedies = list(dict.fromkeys(remedy for _, remedy in worst if remedy))
    return Answer(verdict, "; ".join([*lines[:_NAMED], *more]), "; ".join(remedies[:_NAMED]))


def _told(one: Judgement) -> str:
    rate = one.rate
    if one.verdict is Verdict.NOT_APPLICABLE:
        return one.why
    gate = f", at least {one.gate:.4g} expected" if one.gate else ""
    way = " all at once" if rate.together and rate.device is not None else ""
    return (
        f"{where(rate, one.gpu)} {rate.name}{way}: {rate.median:.4g} {rate.unit}{gate} ({one.why})"
    )


def where(rate: Rate, gpu: int | None) -> str:
    """The GPU by NVML's index, else the device by JAX's id."""
    if rate.device is None:
        return "all devices"
    return f"GPU {gpu}" if gpu is not None else f"device {rate.device}"


def _found(one: Finding) -> str:
    place = "" if one.gpu is None else f"GPU {one.gpu}: "
    if one.verdict is Verdict.NOT_APPLICABLE:
        return one.seen
    return f"{place}{one.seen}" + (f" ({one.why})" if one.why else "")


# Whether there are as many GPUs as there should be, and JAX uses each.

_NO_DRIVER = ("NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded")


def all_ours(survey: Survey, expect: int) -> Answer:
    """Fail: fewer than `expect` GPUs are listed, or visible to us. Inconclusive: nobody counts."""
    counted = survey.snapshot.gpu_count
    if counted.reason and counted.error not in _NO_DRIVER:
        return Answer(Verdict.INCONCLUSIVE, f"{expect} GPUs expected; {counted.reason}", UNSEEN)
    listed, ours = len(survey.snapshot.gpus), len(survey.visible)
    if listed < expect:
        why = f" ({counted.reason})" if counted.reason else ""
        reason = f"the driver lists {plural(listed, 'GPU')}{why}, {expect} expected"
        return Answer(Verdict.FAIL, reason, _FEWER)
    if ours < expect:
        reason = f"{survey.hiding} leaves {ours} of {plural(listed, 'GPU')}, {expect} expected"
        return Answer(Verdict.FAIL, reason, f"unset {survey.hiding}, or correct --expect")
    return Answer(Verdict.PASS) if listed else Answer(Verdict.INCONCLUSIVE, "no GPU", UNSEEN)


_FEWER = (
    "run jaxpad doctor and jaxpad health here; in a container or a job see that it was given "
    "all GPUs (--gpus all, --gpus-per-node)"
)


def all_used(survey: Survey, ordinals: Sequence[int]) -> Answer:
    """Fail: NVML lists a GPU that JAX has no device on, and nothing was set to hide it.

    `ordinals` are the `local_hardware_id` of JAX's devices.
    """
    matches = survey.match(ordinals)
    lost = [f"CUDA device {each.ordinal}: {each.reason}" for each in matches if each.gpu is None]
    if lost:
        remedy = "run nvidia-smi -L; mixed drivers or containers make the two lists differ"
        return Answer(Verdict.INCONCLUSIVE, "; ".join(lost), remedy)
    used = {each.gpu.index for each in matches if each.gpu}
    wanted = survey.visible
    if why := lack("GPU", wanted):
        return Answer(Verdict.INCONCLUSIVE, why, UNSEEN)
    missing = sorted(wanted - used)
    if not missing:
        return Answer(Verdict.PASS)
    words = ", ".join(map(str, missing))
    reason = f"NVML counts {len(wanted)} GPUs and JAX uses {len(used)}: not GPU {words}"
    return Answer(Verdict.FAIL, reason, _remedy(missing[0]))


def _remedy(index: int) -> str:
    return (
        f"run jaxpad health and nvidia-smi -q -i {index}: a GPU in prohibited mode, in MIG mode "
        "with no slice, or out of its fabric is not given to CUDA; where it is meant to be left "
        "out, say so with CUDA_VISIBLE_DEVICES"
    )
