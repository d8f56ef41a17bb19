"""What a hook of Slurm does about the findings: nothing, unless a fault was seen.

A prolog or epilog that fails drains its node, so doubt must not fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxpad.core.results import Verdict
from jaxpad.health.model import Finding, short
from jaxpad.nvml import GpuState, Snapshot

# Which GPUs are a Slurm job's own, by what Slurm tells its hooks.
#
# Slurm counts GPUs by the order of the files in gres.conf, NVML by PCI bus. They mostly agree.
# Where they do not, or cannot be told to, each way to read the numbers is kept.

# https://slurm.schedmd.com/prolog_epilog.html; the later ones are for older or odd set-ups.
VARIABLES = (
    "SLURM_JOB_GPUS",
    "SLURM_STEP_GPUS",
    "CUDA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
)
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]+")
_RANGE = re.compile(r"(\d{1,4})(?:-(\d{1,4}))?")
_NONE = ("", "NoDevFiles", "(null)", "-1")  # what stands there where a job has no GPU


@dataclass(frozen=True)
class Own:
    """One way to read what Slurm said: the job's GPUs by NVML's index, and whether one is gone."""

    indices: frozenset[int]
    gone: bool = False  # NVML lists fewer than the job was given


def named(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """What Slurm calls the job's GPUs: numbers or UUIDs; () for a job without any.

    A UUID, which means one GPU or slice, counts before a number. None where it cannot be read.
    """
    given = [environ[name].strip() for name in VARIABLES if name in environ]
    told = [_job_words(text) for text in given if text not in _NONE]
    if not told:
        return ()
    sure = [words for words in told if words and all(map(_UUID.fullmatch, words))]
    return (sure or told)[0]


def _job_words(text: str) -> tuple[str, ...] | None:
    """`0-2,5` and `GPU-…,GPU-…` as words."""
    found: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        bounds = _RANGE.fullmatch(part)
        if bounds:
            first, last = int(bounds[1]), int(bounds[2] or bounds[1])
            found += map(str, range(first, last + 1))
        elif _UUID.fullmatch(part):
            found.append(part)
        else:
            return None
    return tuple(found) or None


def own(snapshot: Snapshot, words: tuple[str, ...]) -> tuple[Own, ...]:
    """Each way to read `words`; none where the numbers count slices, which have no order."""
    if all(map(_UUID.fullmatch, words)):
        return (_own([_by_uuid(snapshot, word) for word in words]),)
    if any(gpu.mig.enabled.value for gpu in snapshot.gpus):
        return ()
    numbers = [int(word) for word in words if word.isdecimal()]
    places: dict[int | None, int] = {gpu.index: gpu.index for gpu in snapshot.gpus}
    minors = {gpu.identity.minor_number.value: gpu.index for gpu in snapshot.gpus}
    readings = [places] if None in minors else [places, minors]
    return tuple(dict.fromkeys(_own([each.get(n) for n in numbers]) for each in readings))


def _own(found: list[int | None]) -> Own:
    return Own(frozenset(index for index in found if index is not None), gone=None in found)


def _by_uuid(snapshot: Snapshot, uuid: str) -> int | None:
    return next((gpu.index for gpu in snapshot.gpus if uuid in _uuids(gpu)), None)


def _uuids(gpu: GpuState) -> set[str | None]:
    slices = gpu.mig.devices.value or ()
    return {gpu.identity.uuid.value, *(each.uuid.value for each in slices)}


HOOKS = ("healthcheck", "prolog", "epilog")
FAULT = 10  # an exit code of a hook that no crash has: Python's own are 1 and 2
_SHARED = ("driver",)  # without it no GPU can be used
_OF_THE_LOST = ("count", "kernel log")  # they name a GPU that NVML no longer lists


@dataclass(frozen=True)
class Decision:
    """The faults that count; `doubt` is why none could be looked for."""

    faults: tuple[Finding, ...] = ()
    doubt: str = ""

    @property
    def code(self) -> int:
        """FAULT for a fault that was seen, else 0."""
        return FAULT if self.faults else 0

    def also_in(self, before: Decision) -> Decision:
        """With those faults alone that the look before had, too."""
        known = {(one.name, one.gpu) for one in before.faults}
        faults = tuple(one for one in self.faults if (one.name, one.gpu) in known)
        return Decision(faults, self.doubt)

    @property
    def words(self) -> str:
        """The faults in one line, the first ones named."""
        told = [_hook_words(one) for one in self.faults[:3]]
        more = [f"and {len(self.faults) - 3} more"] if len(self.faults) > 3 else []
        return "; ".join([*told, *more])


def decide(
    hook: str, findings: Sequence[Finding], snapshot: Snapshot, environ: Mapping[str, str]
) -> Decision:
    """healthcheck: every fault of the node. prolog, epilog: those of the job's own GPUs.

    Where what Slurm said can be read in several ways, every one of them must have a fault.
    """
    failed = [one for one in findings if one.verdict is Verdict.FAIL]
    if hook == "healthcheck":
        return Decision(tuple(failed))
    words = named(environ)
    if words is None:
        return Decision(doubt="what Slurm calls the job's GPUs cannot be read")
    if not words:
        return Decision()
    readings = [tuple(_concern(failed, each)) for each in own(snapshot, words)]
    if not readings:
        return Decision(doubt="the job's GPUs are slices that Slurm numbers in an order of its own")
    return Decision(readings[0]) if all(readings) else Decision()


def _concern(failed: Iterable[Finding], job: Own) -> Iterable[Finding]:
    for one in failed:
        lost = job.gone and one.name in _OF_THE_LOST
        if one.gpu in job.indices or (one.gpu is None and (one.name in _SHARED or lost)):
            yield one


def _hook_words(one: Finding) -> str:
    place = "" if one.gpu is None else f"GPU {one.gpu} "
    return f"{place}{one.name}: {short(one.seen, 80)}"
