"""A CUDA ordinal's device in NVML's list: by UUID, else by PCI bus id, never by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jaxpad.core.reading import Reading, from_plain
from jaxpad.nvml.child import LIMIT_S, ask_module
from jaxpad.nvml.device import bus_id
from jaxpad.nvml.state import GpuState, MigDevice, Snapshot

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
    found = told.map(lambda plain: from_plain(CudaDevices, plain))
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
