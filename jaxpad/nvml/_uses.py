"""How a GPU may be used, and by whom: modes, MIG devices, processes, utilisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxpad.nvml._device import Device
from jaxpad.nvml._memory import Memory, memory
from jaxpad.nvml._reading import Reading, absent, attempt, plausible

COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
VIRTUALISATION = ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")


@dataclass(frozen=True)
class Modes:
    """Settings of the GPU."""

    compute_mode: Reading[str]
    persistence: Reading[bool]
    performance_state: Reading[int]  # P0 is the fastest, P15 the slowest
    virtualisation: Reading[str]


@dataclass(frozen=True)
class Utilisation:
    """Per cent of the last 1/6 to 1 s in which any kernel ran, or memory was in use."""

    gpu_percent: Reading[int]
    memory_percent: Reading[int]


@dataclass(frozen=True)
class MigDevice:
    """One slice of a GPU."""

    uuid: Reading[str]  # "MIG-…"
    name: Reading[str]
    sm_count: Reading[int]
    memory: Memory
    gpu_instance: Reading[int]
    compute_instance: Reading[int]


@dataclass(frozen=True)
class Mig:
    """Whether the GPU is cut into slices, and those that are there."""

    enabled: Reading[bool]
    pending: Reading[bool]
    devices: Reading[tuple[MigDevice, ...]]


@dataclass(frozen=True)
class Process:
    """A process on the GPU. The id is the host's, also inside a container."""

    pid: int
    used_bytes: Reading[int]
    name: Reading[str]


@dataclass(frozen=True)
class Processes:
    """Who computes, and who draws."""

    compute: Reading[tuple[Process, ...]]
    graphics: Reading[tuple[Process, ...]]


def modes(device: Device) -> Modes:
    """Ask for every setting."""
    return Modes(
        compute_mode=device.ask("nvmlDeviceGetComputeMode").map(COMPUTE_MODES.__getitem__),
        persistence=device.ask("nvmlDeviceGetPersistenceMode").map(bool),
        performance_state=device.number("nvmlDeviceGetPerformanceState", high=15),
        virtualisation=device.ask("nvmlDeviceGetVirtualizationMode").map(
            VIRTUALISATION.__getitem__
        ),
    )


def utilisation(device: Device) -> Utilisation:
    """Ask for both rates."""
    found = device.ask("nvmlDeviceGetUtilizationRates")
    return Utilisation(
        gpu_percent=plausible(found.map(lambda rates: rates.gpu), 0, 100, "%"),
        memory_percent=plausible(found.map(lambda rates: rates.memory), 0, 100, "%"),
    )


def mig(device: Device) -> Mig:
    """Ask for the mode, and where it is on for the slices."""
    enabled, pending = device.pair("nvmlDeviceGetMigMode")
    if enabled.reason is not None:
        return Mig(enabled, pending, absent(enabled.reason))
    slices = attempt(_slices, device) if enabled.value else Reading(())
    return Mig(enabled.map(bool), pending.map(bool), slices)


def _slices(device: Device) -> tuple[MigDevice, ...]:
    slots = device.ask("nvmlDeviceGetMaxMigDeviceCount").value or 0
    handles = [device.ask("nvmlDeviceGetMigDeviceHandleByIndex", slot) for slot in range(slots)]
    empty = ("NVMLError_NotFound", "NVMLError_InvalidArgument")
    return tuple(
        _slice(Device(device.nvml, handle)) for handle in handles if handle.error not in empty
    )


def _slice(device: Device) -> MigDevice:
    return MigDevice(
        uuid=device.ask("nvmlDeviceGetUUID"),
        name=device.ask("nvmlDeviceGetName"),
        sm_count=device.ask("nvmlDeviceGetAttributes").map(lambda found: found.multiprocessorCount),
        memory=memory(device),
        gpu_instance=device.number("nvmlDeviceGetGpuInstanceId"),
        compute_instance=device.number("nvmlDeviceGetComputeInstanceId"),
    )


def processes(device: Device) -> Processes:
    """Ask who is on the GPU, with the name that the driver knows each by."""

    def listed(kind: str) -> Reading[tuple[Process, ...]]:
        found = device.ask(f"nvmlDeviceGet{kind}RunningProcesses")
        return found.map(lambda those: tuple(_process(device.nvml, each) for each in those))

    return Processes(compute=listed("Compute"), graphics=listed("Graphics"))


def _process(nvml: Any, found: Any) -> Process:
    used = found.usedGpuMemory
    return Process(
        pid=found.pid,
        used_bytes=absent("not available: NVML gives no number") if used is None else Reading(used),
        name=attempt(nvml.nvmlSystemGetProcessName, found.pid),
    )
