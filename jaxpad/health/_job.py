"""Which GPUs are a Slurm job's own, by what Slurm tells its hooks.

Slurm counts GPUs by the order of the files in gres.conf, NVML by PCI bus. They mostly agree.
Where they do not, or cannot be told to, each way to read the numbers is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaxpad.nvml import GpuState, Snapshot

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
    told = [_words(text) for text in given if text not in _NONE]
    if not told:
        return ()
    sure = [words for words in told if words and all(map(_UUID.fullmatch, words))]
    return (sure or told)[0]


def _words(text: str) -> tuple[str, ...] | None:
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
