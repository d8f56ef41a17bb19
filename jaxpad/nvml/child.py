"""Ask in a child with a time limit: a driver that hangs or crashes keeps that to the child.

NVML for a snapshot, CUDA for its devices; and which device of the one is which of the other.
"""

from __future__ import annotations

import functools
import json
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.core import child
from jaxpad.core.codec import revive
from jaxpad.core.reading import Reading, absent, attempt
from jaxpad.nvml.device import bus_id
from jaxpad.nvml.kernel_log import KMSG, SYSFS
from jaxpad.nvml.state import GpuState, MigDevice, Snapshot, unanswered

LIMIT_S = 30.0  # a healthy driver answers in one second
_LAST_WORDS_S = 1.0  # for a child that was killed to end


def ask(
    limit_s: float = LIMIT_S,
    sysfs: Path = SYSFS,
    kmsg: Path = KMSG,
    environ: Mapping[str, str] | None = None,
) -> Snapshot:
    """`snapshot`, taken in a child that has `limit_s` seconds.

    Raises nothing: where the child gives no answer, every reading of NVML says why.
    """
    words = ("jaxpad.nvml", "snapshot", str(sysfs), str(kmsg))
    return heard(ask_module(words, limit_s, environ), sysfs, kmsg)


def heard(told: Reading[Any], sysfs: Path, kmsg: Path) -> Snapshot:
    """The snapshot that a child told as plain data, or that of a machine which did not answer."""
    found = told.map(lambda plain: revive(Snapshot, plain, "snapshot"))
    return found.value or unanswered(found.reason or "no answer", sysfs, kmsg)


def record(limit_s: float = LIMIT_S, environ: Mapping[str, str] | None = None) -> Reading[Any]:
    """Every answer of NVML as a scenario of the tests, disguised in the child that asks.

    Raises nothing: without a driver, or after `limit_s` seconds, the reading says why.
    """
    told = ask_module(("jaxpad.nvml", "record"), limit_s, environ)
    refused = told.map(lambda found: found.get("error"))
    return absent(refused.value) if refused.value else told


def ask_module(
    words: Sequence[str], limit_s: float, environ: Mapping[str, str] | None = None
) -> Reading[Any]:
    """What `python -m <words>` prints as JSON, or why there is none.

    `environ` is the child's, by default this process's. A child that is stuck in the kernel
    cannot be ended and is left behind.
    """
    variables = child.importable(os.environ if environ is None else environ)
    if _may_fork(variables):
        work = functools.partial(_as_module, words, variables)
        return _parsed(child.run_fork(work, limit_s=limit_s, stuck_s=_LAST_WORDS_S), limit_s)
    argv = child.python("-m", *words)
    told = child.run(argv, environ=variables, limit_s=limit_s, stuck_s=_LAST_WORDS_S)
    return _parsed(told, limit_s)


def _parsed(told: child.Outcome, limit_s: float) -> Reading[Any]:
    if told.late:
        return absent(f"TimeoutExpired: no answer within {limit_s:g} s{told.note}")
    if told.code:
        return absent(f"ended: the child that asked ended with code {told.code}")
    return attempt(json.loads, told.out)


# A fork instead of another Python, which takes longer to start than a driver to answer.

_PACKAGE = str(Path(__file__).parents[2])
_LINKER = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT")  # read once, when a program starts


def _may_fork(environ: Mapping[str, str]) -> bool:
    """Whether a fork is as good: the same libraries, no thread whose locks it would take along."""
    same = all(os.environ.get(name) == environ.get(name) for name in _LINKER)
    try:
        return same and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - names alone
    except OSError:
        return False


def _as_module(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """What `python -P -m WORDS` does, in this process."""
    os.environ.clear()
    os.environ.update(environ)
    sys.path[:] = [entry for entry in sys.path if entry not in ("", _here())] + [_PACKAGE]
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed under us: nothing can be imported from it
        return ""


# A CUDA ordinal's device in NVML's list: by UUID, else by PCI bus id, never by index.

# Which device each CUDA ordinal is, from the CUDA driver: its UUID and its PCI bus id.
#
# CUDA counts its devices in an order of its own (CUDA_DEVICE_ORDER) after
# CUDA_VISIBLE_DEVICES, so an ordinal is no index of NVML's.


@dataclass(frozen=True)
class CudaDevice:
    """One ordinal, as JAX's `local_hardware_id` counts.

    `uuid` has no prefix: it is a GPU's, or within a MIG slice the slice's own (drivers
    from 515; older ones give the whole GPU's).
    """

    ordinal: int
    uuid: Reading[str]
    pci_bus_id: Reading[str]


@dataclass(frozen=True)
class CudaDevices:
    """What the CUDA driver shows to a process with this environment."""

    devices: Reading[tuple[CudaDevice, ...]]


def cuda_devices(
    environ: Mapping[str, str] | None = None, limit_s: float = LIMIT_S
) -> Reading[tuple[CudaDevice, ...]]:
    """The devices that CUDA counts under `environ`, asked in a child within `limit_s` seconds.

    Raises nothing: where CUDA does not start, the reading says why.
    """
    told = ask_module(("jaxpad.nvml.cuda",), limit_s, environ)
    found = told.map(lambda plain: revive(CudaDevices, plain, "devices"))
    return found.value.devices if found.value else Reading(None, found.reason)


@dataclass(frozen=True)
class Match:
    """The NVML device of one CUDA ordinal: `gpu`, and the slice of it that it is, if any.

    Where it cannot be matched, `gpu` is None and `reason` one sentence; else `by` is
    `UUID` or `PCI bus id`.
    """

    ordinal: int
    gpu: GpuState | None = None
    mig: MigDevice | None = None
    by: str | None = None
    reason: str | None = None


_Found = tuple[GpuState, MigDevice | None]


def match(
    ordinals: Sequence[int], cuda: Reading[tuple[CudaDevice, ...]], seen: Snapshot
) -> tuple[Match, ...]:
    """The NVML device of each ordinal, from what CUDA and NVML said. Raises nothing."""
    return tuple(_match(ordinal, cuda, seen) for ordinal in ordinals)


def _match(ordinal: int, cuda: Reading[tuple[CudaDevice, ...]], seen: Snapshot) -> Match:
    if cuda.value is None:
        return Match(ordinal, reason=f"the CUDA driver does not say what it is ({cuda.reason})")
    device = next((each for each in cuda.value if each.ordinal == ordinal), None)
    if device is None:
        return Match(ordinal, reason=f"CUDA counts {len(cuda.value)} devices and has no {ordinal}")
    if not seen.gpus:
        why = seen.gpu_count.reason or "it counts none"
        return Match(ordinal, reason=f"NVML lists no GPU ({why})")
    return _by_uuid(device, seen) or _by_bus(device, seen)


def _by_uuid(device: CudaDevice, seen: Snapshot) -> Match | None:
    wanted = device.uuid.value
    if wanted is None:
        return None
    found = [each for each in _all(seen) if _bare(_uuid(each)) == wanted.lower()]
    return _only(device.ordinal, found, "UUID") if found else None


def _by_bus(device: CudaDevice, seen: Snapshot) -> Match:
    wanted = device.pci_bus_id.map(bus_id)
    if wanted.value is None:
        why = f"no UUID that NVML knows ({device.uuid.reason or device.uuid.value})"
        return Match(device.ordinal, reason=f"{why} and no PCI bus id ({wanted.reason})")
    on_bus = [gpu for gpu in seen.gpus if gpu.identity.pci_bus_id.value == wanted.value]
    found = [each for gpu in on_bus for each in _usable(gpu)]
    if not found:
        why = "NVML lists no GPU with that UUID or on the bus at"
        return Match(device.ordinal, reason=f"{why} {wanted.value}")
    return _only(device.ordinal, found, "PCI bus id")


def _only(ordinal: int, found: list[_Found], by: str) -> Match:
    """One that is told apart; two that answer to the same name are not."""
    if len(found) > 1:
        return Match(ordinal, reason=f"NVML lists {len(found)} devices with that {by}")
    gpu, mig = found[0]
    return Match(ordinal, gpu, mig, by)


def _usable(gpu: GpuState) -> Iterator[_Found]:
    """What CUDA can run on there: a GPU that is cut into slices is not itself a device."""
    slices = gpu.mig.devices.value or () if gpu.mig.enabled.value else ()
    yield from ((gpu, each) for each in slices)
    if not gpu.mig.enabled.value:
        yield gpu, None


def _all(seen: Snapshot) -> Iterator[_Found]:
    for gpu in seen.gpus:
        yield from _usable(gpu)


def _uuid(found: _Found) -> str | None:
    gpu, mig = found
    return (mig.uuid if mig else gpu.identity.uuid).value


def _bare(uuid: str | None) -> str | None:
    """Without `GPU-` or `MIG-`, which CUDA's bytes do not have."""
    return uuid.partition("-")[2].lower() if uuid else None
