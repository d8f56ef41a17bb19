"""All that NVML and the kernel say about this machine's GPUs at one moment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from jaxpad.core.reading import Reading, absent, attempt, first, plausible
from jaxpad.nvml import device as fields
from jaxpad.nvml.device import (
    Clocks,
    Device,
    Fields,
    Identity,
    Throttle,
    clocks,
    identity,
    started,
    throttle,
)
from jaxpad.nvml.driver import cuda_version
from jaxpad.nvml.hardware import (
    Ecc,
    Fabric,
    Memory,
    NvLink,
    Pcie,
    RemappedRows,
    RetiredPages,
    ecc,
    fabric,
    memory,
    nvlinks,
    pcie,
    peer_links,
    remapped_rows,
    retired_pages,
)
from jaxpad.nvml.kernel_log import KMSG, SYSFS, Kernel, kernel

# How a GPU may be used, and by whom: modes, MIG devices, processes, utilisation.

COMPUTE_MODES = ("default", "exclusive_thread", "prohibited", "exclusive_process")
VIRTUALISATION = ("none", "passthrough", "vgpu", "host_vgpu", "host_vsga")


@dataclass(frozen=True)
class Modes:
    """Settings of the GPU."""

    compute_mode: Reading[str]
    persistence: Reading[bool]
    performance_state: Reading[int]  # P0 is the fastest, P15 the slowest
    virtualisation: Reading[str]
    recovery_action: Reading[int]  # nvmlDeviceGpuRecoveryAction_t; 0 is none
    inforom_valid: Reading[bool]  # the board's own record, by its checksums


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


def modes(device: Device, bulk: Fields) -> Modes:
    """Ask for every setting."""
    return Modes(
        compute_mode=device.ask("nvmlDeviceGetComputeMode").map(COMPUTE_MODES.__getitem__),
        persistence=device.ask("nvmlDeviceGetPersistenceMode").map(bool),
        performance_state=device.number("nvmlDeviceGetPerformanceState", high=15),
        virtualisation=device.ask("nvmlDeviceGetVirtualizationMode").map(
            VIRTUALISATION.__getitem__
        ),
        recovery_action=plausible(bulk[fields.RECOVERY_ACTION], 0, 255, ""),
        inforom_valid=_inforom(device),
    )


def _inforom(device: Device) -> Reading[bool]:
    found = device.ask("nvmlDeviceValidateInforom")
    if found.error == "NVMLError_CorruptedInforom":
        return Reading(False)
    return found.map(lambda _: True)


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


# Power, energy and temperature.

GPU_SENSOR = 0  # nvmlTemperatureSensors_t
MOST_MILLIWATTS = 10**7  # ten times the largest module there is
COLDEST, HOTTEST = -60, 200  # degrees Celsius a working sensor can say
MARGIN = -200  # below zero where the limit is passed


@dataclass(frozen=True)
class Power:
    """Watts, and joules since the driver was loaded."""

    draw_watts: Reading[float]  # now; an average over 1 s where the board has no other
    average_watts: Reading[float]  # over 1 s: Ampere (not GA100) and newer
    enforced_limit_watts: Reading[float]  # the lowest of all limits in force
    default_limit_watts: Reading[float]
    min_limit_watts: Reading[float]
    max_limit_watts: Reading[float]
    energy_joules: Reading[float]


@dataclass(frozen=True)
class Temperature:
    """Degrees Celsius; a margin and a `tlimit` count down to the limit, 0 being at it."""

    gpu_celsius: Reading[int]
    memory_celsius: Reading[int]  # HBM only
    margin_celsius: Reading[int]  # to the first slowdown: Ada and newer
    slowdown_celsius: Reading[int]
    shutdown_celsius: Reading[int]
    gpu_max_celsius: Reading[int]
    memory_max_celsius: Reading[int]
    slowdown_tlimit_celsius: Reading[int]
    shutdown_tlimit_celsius: Reading[int]
    gpu_max_tlimit_celsius: Reading[int]
    memory_max_tlimit_celsius: Reading[int]


def power(device: Device, bulk: Fields) -> Power:
    """Ask; field 186 is instantaneous on all boards, the older call on some only."""
    low, high = device.pair("nvmlDeviceGetPowerManagementLimitConstraints")
    return Power(
        draw_watts=first(
            lambda: _watts(bulk[fields.POWER_INSTANT]),
            lambda: _watts(device.ask("nvmlDeviceGetPowerUsage")),
        ),
        average_watts=_watts(bulk[fields.POWER_AVERAGE]),
        enforced_limit_watts=_watts(device.ask("nvmlDeviceGetEnforcedPowerLimit")),
        default_limit_watts=_watts(device.ask("nvmlDeviceGetPowerManagementDefaultLimit")),
        min_limit_watts=_watts(low),
        max_limit_watts=_watts(high),
        energy_joules=first(
            lambda: _joules(bulk[fields.ENERGY]),
            lambda: _joules(device.ask("nvmlDeviceGetTotalEnergyConsumption")),
        ),
    )


def temperature(device: Device, bulk: Fields) -> Temperature:
    """Ask; the thresholds are what a board before Ada has, the margins what a later one has."""
    return Temperature(
        gpu_celsius=first(
            lambda: _degrees(device.ask("nvmlDeviceGetTemperatureV", GPU_SENSOR)),
            lambda: _degrees(device.ask("nvmlDeviceGetTemperature", GPU_SENSOR)),
        ),
        memory_celsius=_degrees(bulk[fields.MEMORY_TEMPERATURE]),
        margin_celsius=_margin(device.ask("nvmlDeviceGetMarginTemperature")),
        shutdown_celsius=_threshold(device, 0),
        slowdown_celsius=_threshold(device, 1),
        memory_max_celsius=_threshold(device, 2),
        gpu_max_celsius=_threshold(device, 3),
        shutdown_tlimit_celsius=_margin(bulk[fields.SHUTDOWN_TLIMIT]),
        slowdown_tlimit_celsius=_margin(bulk[fields.SLOWDOWN_TLIMIT]),
        memory_max_tlimit_celsius=_margin(bulk[fields.MEMORY_MAX_TLIMIT]),
        gpu_max_tlimit_celsius=_margin(bulk[fields.GPU_MAX_TLIMIT]),
    )


def _threshold(device: Device, kind: int) -> Reading[int]:
    """A threshold by its nvmlTemperatureThresholds_t; 0 °C is how a driver says none."""
    found = device.ask("nvmlDeviceGetTemperatureThreshold", kind)
    return plausible(found, 1, HOTTEST, "°C")


def _degrees(found: Reading[Any]) -> Reading[int]:
    return plausible(found, COLDEST, HOTTEST, "°C")


def _margin(found: Reading[Any]) -> Reading[int]:
    return plausible(found, MARGIN, HOTTEST, "°C")


def _joules(millijoules: Reading[Any]) -> Reading[float]:
    return plausible(millijoules, 0, 2.0**63, "mJ").map(_thousandth)


def _watts(milliwatts: Reading[Any]) -> Reading[float]:
    return plausible(milliwatts, 0, MOST_MILLIWATTS, "mW").map(_thousandth)


def _thousandth(value: float) -> float:
    return value / 1000


@dataclass(frozen=True)
class GpuState:
    """One GPU. `index` is its place in NVML's order, which the next boot may change."""

    index: int
    identity: Identity
    memory: Memory
    utilisation: Utilisation
    clocks: Clocks
    throttle: Throttle
    power: Power
    temperature: Temperature
    ecc: Ecc
    remapped_rows: RemappedRows
    retired_pages: RetiredPages
    pcie: Pcie
    nvlinks: Reading[tuple[NvLink, ...]]
    peer_links: dict[str, Reading[int]]  # NVLink's way to each other GPU, 0 is OK
    fabric: Fabric
    mig: Mig
    modes: Modes
    processes: Processes


@dataclass(frozen=True)
class Snapshot:
    """The machine. Where NVML does not start, every reading of it says why."""

    unix_s: float
    driver_version: Reading[str]
    nvml_version: Reading[str]
    cuda_version: Reading[str]
    gpu_count: Reading[int]
    gpus: tuple[GpuState, ...]
    kernel: Kernel

    @property
    def unlisted(self) -> tuple[str, ...]:
        """Bus ids of NVIDIA GPUs that are on the PCI bus and not in NVML's list.

        Fallen off the bus, bound to another driver, or not given to this container.
        """
        listed = {gpu.identity.pci_bus_id.value for gpu in self.gpus}
        return tuple(
            gpu.pci_bus_id for gpu in self.kernel.gpus.value or () if gpu.pci_bus_id not in listed
        )


def snapshot(sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Snapshot:
    """Ask NVML and the kernel for everything; NVML is shut down again afterwards.

    Raises nothing: what cannot be read is absent with its reason. A driver that hangs,
    hangs the caller: see `ask`.
    """
    with started() as nvml:
        return _snapshot(nvml, kernel(sysfs, kmsg))


def unanswered(reason: str, sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Snapshot:
    """The snapshot of a machine whose NVML does not answer."""
    return _snapshot(absent(reason), kernel(sysfs, kmsg))


def _snapshot(nvml: Reading[Any], said: Kernel) -> Snapshot:
    def ask(call: str) -> Reading[Any]:
        return nvml.map(lambda module: getattr(module, call)())

    count, module = ask("nvmlDeviceGetCount"), cast("Any", nvml.value)
    handles = {
        index: attempt(module.nvmlDeviceGetHandleByIndex, index)
        for index in range(count.value or 0)
    }
    return Snapshot(
        unix_s=time.time(),
        driver_version=ask("nvmlSystemGetDriverVersion"),
        nvml_version=ask("nvmlSystemGetNVMLVersion"),
        cuda_version=cuda_version(nvml.value) if nvml.known else nvml,
        gpu_count=count,
        gpus=tuple(gpu(module, index, handles) for index in handles),
        kernel=said,
    )


def gpu(nvml: Any, index: int, handles: Mapping[int, Reading[Any]]) -> GpuState:
    """Ask one GPU of `handles`, by NVML's index, for everything."""
    device = Device(nvml, handles[index])
    others = {other: handle for other, handle in handles.items() if other != index}
    bulk = device.fields(fields.ALL)
    names, corrected, links = identity(device), ecc(device), nvlinks(device, bulk)
    return GpuState(
        index=index,
        identity=names,
        memory=memory(device),
        utilisation=utilisation(device),
        clocks=clocks(device),
        throttle=throttle(device, bulk),
        power=power(device, bulk),
        temperature=temperature(device, bulk),
        ecc=corrected,
        remapped_rows=remapped_rows(device, names.name.value or "", corrected),
        retired_pages=retired_pages(device),
        pcie=pcie(device),
        nvlinks=links,
        peer_links=peer_links(device, others, links),
        fabric=fabric(device),
        mig=mig(device),
        modes=modes(device, bulk),
        processes=processes(device),
    )
