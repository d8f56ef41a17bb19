"""What every NVML call answers on this machine, in the form of a scenario of the tests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from jaxpad.core.reading import Reading, attempt
from jaxpad.nvml import device as fields
from jaxpad.nvml.child import cuda_devices
from jaxpad.nvml.device import Device, bus_id, started
from jaxpad.nvml.fast_calls import APART_S, METRICS, Gpm
from jaxpad.nvml.hardware import MOST_LINKS, P2P_NVLINK, fabric_info, sram_status

# Every call that a recording makes, by the keys of a scenario file.
#
# A key is a call's name without `nvmlDeviceGet`; arguments and parts of a structure follow.

PLAIN_CALLS = (
    "Architecture",
    "Brand",
    "ComputeInstanceId",
    "ComputeMode",
    "CudaComputeCapability",
    "CurrPcieLinkGeneration",
    "CurrPcieLinkWidth",
    "CurrentClocksEventReasons",
    "CurrentClocksThrottleReasons",
    "EccMode",
    "EnforcedPowerLimit",
    "GpuInstanceId",
    "GpuMaxPcieLinkGeneration",
    "MarginTemperature",
    "MaxMigDeviceCount",
    "MaxPcieLinkGeneration",
    "MaxPcieLinkWidth",
    "MemoryBusWidth",
    "MigMode",
    "MinorNumber",
    "Name",
    "NumGpuCores",
    "NumaNodeId",
    "PcieReplayCounter",
    "PerformanceState",
    "PersistenceMode",
    "PowerManagementDefaultLimit",
    "PowerManagementLimit",
    "PowerManagementLimitConstraints",
    "PowerUsage",
    "RemappedRows",
    "RepairStatus",
    "RetiredPagesPendingStatus",
    "Serial",
    "SupportedClocksEventReasons",
    "SupportedClocksThrottleReasons",
    "TotalEnergyConsumption",
    "UUID",
    "VbiosVersion",
    "VirtualizationMode",
)

_LINKS = range(MOST_LINKS)

# Arguments of a call that takes some.
CALLS_WITH_ARGUMENTS: dict[str, list[tuple[int, ...]]] = {
    "ApplicationsClock": [(kind,) for kind in (0, 2)],
    "DefaultApplicationsClock": [(kind,) for kind in (0, 2)],
    "ClockInfo": [(kind,) for kind in range(4)],
    "MaxClockInfo": [(kind,) for kind in range(4)],
    "MemoryErrorCounter": [(1, 1, 7)],  # uncorrected, of the board's life, in SRAM
    "NvLinkErrorCounter": [(link, counter) for link in _LINKS for counter in range(4)],
    "NvLinkState": [(link,) for link in _LINKS],
    "NvLinkVersion": [(link,) for link in _LINKS],
    "RetiredPages": [(0,), (1,)],
    "Temperature": [(0,)],
    "TemperatureThreshold": [(kind,) for kind in range(4)],
    "TemperatureV": [(0,)],
    "TotalEccErrors": [(kind, counter) for kind in (0, 1) for counter in (0, 1)],
    "ViolationStatus": [(policy,) for policy in (0, 1, 2, 3, 5)],
}

# What is kept of an answer that is neither a number nor a word.
PART_CALLS: dict[str, Callable[[Any], Any]] = {
    "RetiredPages": len,
    "ViolationStatus": lambda status: status.violationTime,
}

STRUCTURE_CALLS: dict[str, tuple[str, ...]] = {
    "Attributes": ("multiprocessorCount", "memorySizeMB"),
    "MemoryInfo": ("total", "free", "used"),
    "PciInfo": ("busId", "pciDeviceId", "pciSubSystemId"),
    "RowRemapperHistogram": ("max", "high", "partial", "low", "none"),
    "UtilizationRates": ("gpu", "memory"),
}
_SRAM = ("aggregateUncParity", "aggregateUncSecDed", "aggregateCor", "bThresholdExceeded")

OF_LINKS = (
    fields.LINK_STATE,
    fields.LINK_VERSION,
    fields.LINK_REPLAY,
    fields.LINK_RECOVERY,
    fields.LINK_CRC,
    fields.LINK_FAILED_RECOVERIES,
    fields.LINK_SYMBOL_ERRORS,
)
FIELD_CALLS: tuple[int | tuple[int, int], ...] = (
    *fields.ALL,
    *((field, link) for link in _LINKS for field in OF_LINKS),
)


# What one GPU answers to every call of a recording, as NVML says it.

Table = dict[str, Any]

UNSAID = "!NotSupported"  # what a scenario leaves out
_NO_SUCH = (UNSAID, "!InvalidArgument")  # also said of a link that is not there
# nvidia-ml-py's own names for a missing function, and for a code it has no class for.
_WRAPPERS = {"NVMLLibraryMismatchError": "!FunctionNotFound", "NVMLError": "!Unknown"}


def said(found: Reading[Any]) -> Any:
    """A value, or `!` and the name of the error as nvidia-ml-py has it."""
    if found.reason is None:
        return found.value
    name = found.error or ""
    if name.startswith("NVMLError_"):
        return f"!{name.removeprefix('NVMLError_')}"
    return _WRAPPERS.get(name, UNSAID)


def answers(device: Device) -> Iterator[tuple[str, Any]]:
    """Every answer but `not supported`, which a scenario need not say."""
    for name in PLAIN_CALLS:
        yield from kept(name, said(device.ask(f"nvmlDeviceGet{name}").map(_listed)))
    for name, wanted in CALLS_WITH_ARGUMENTS.items():
        yield from kept(name, _by_argument(device, name, wanted))
    for name, parts in STRUCTURE_CALLS.items():
        yield from kept(name, _structure(device.ask(f"nvmlDeviceGet{name}"), parts))
    version_2 = getattr(device.nvml, "nvmlMemory_v2", None)
    newer = device.ask("nvmlDeviceGetMemoryInfo", version_2)
    yield from kept("MemoryInfo_v2", _structure(newer, ("total", "reserved", "free", "used")))
    yield from kept("GpuFabricInfo", _fabric(device))
    yield from kept("SramEccErrorStatus", _structure(sram_status(device), _SRAM))
    yield from kept("ValidateInforom", said(device.ask("nvmlDeviceValidateInforom").map(_sound)))
    yield from kept("Field", _fields(device))


def _sound(_: None) -> int:
    return 1


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def kept(name: str, answer: Any) -> Iterator[tuple[str, Any]]:
    if answer not in (UNSAID, {}):
        yield name, answer


def _by_argument(device: Device, name: str, wanted: list[tuple[int, ...]]) -> Table:
    found: Table = {}
    for given in wanted:
        answer = device.ask(f"nvmlDeviceGet{name}", *given).map(PART_CALLS.get(name, _listed))
        value = said(answer)
        if value not in _NO_SUCH:
            table = found
            for each in given[:-1]:
                table = table.setdefault(str(each), {})
            table[str(given[-1])] = value
    return found


def _structure(found: Reading[Any], parts: tuple[str, ...]) -> Any:
    if found.value is None:
        return said(found)
    return {part: _text(getattr(found.value, part)) for part in parts}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _fabric(device: Device) -> Any:
    found = fabric_info(device)
    if found.value is None:
        return said(found)
    parts = {part: getattr(found.value, part) for part in ("state", "status", "cliqueId")}
    health = {"healthMask": found.value.healthMask, "cluster": 0}
    summary = getattr(found.value, "healthSummary", 0)
    return parts | health | ({"healthSummary": summary} if summary else {})


def _fields(device: Device) -> Table:
    found: Table = {}
    for name, reading in device.fields(FIELD_CALLS).items():
        value = said(reading)
        if isinstance(name, int) and value != UNSAID:
            found[str(name)] = value
        elif isinstance(name, tuple) and value not in _NO_SUCH:
            found.setdefault(str(name[0]), {})[str(name[1])] = value
    return found


# Replaces what would tell one machine, board or person from another.
#
# The same input gets the same replacement within one recording, so that the GPU that CUDA
# names is still the one that NVML lists.


class Disguise:
    """Replacements by the order of first appearance, one count for each kind."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}

    def _number(self, kind: str, text: str) -> int:
        same = sum(1 for each, _ in self._seen if each == kind)
        return self._seen.setdefault((kind, text), same)

    def uuid(self, text: str) -> str:
        """`GPU-…` and `MIG-…` keep their beginning; CUDA's bare digits count as the same."""
        prefix, dash, digits = text.rpartition("GPU-" if "GPU-" in text else "MIG-")
        bare = (digits if dash else text).lower()
        number = self._number("uuid", bare)
        return f"{prefix}{dash}00000000-0000-4000-8000-{number:012x}"

    def serial(self, text: str) -> str:
        """As many digits as before."""
        return str(self._number("serial", text)).zfill(len(text))

    def bus(self, text: str) -> str:
        """A bus of its own for each, however the id is written."""
        whole = attempt(bus_id, text).value or text
        return f"00000000:{self._number('bus', whole) + 1:02X}:00.0"

    def pid(self, number: int) -> int:
        """Process ids from 1000 on."""
        return 1000 + self._number("pid", str(number))

    def process(self, name: str) -> str:
        """`process-0`, whatever it was called and with what words."""
        return f"process-{self._number('process', name)}"


_NO_NUMBER = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE


def record() -> Table:
    """The machine's answers as nested tables, or `{"error": why}` without a driver.

    UUIDs, serial numbers, PCI bus ids, process ids and process names are replaced, the same
    input by the same output; the rest is as NVML gave it, garbage and errors included.
    """
    disguise = Disguise()
    with started() as nvml:
        if nvml.value is None:
            return {"error": nvml.reason}
        found = _machine(nvml.value, disguise)
    return found | {"cuda": _cuda(disguise)}


def _machine(nvml: Any, disguise: Disguise) -> Table:
    count = attempt(nvml.nvmlDeviceGetCount)
    names: Table = {}
    gpus = {str(index): _gpu(nvml, index, disguise, names) for index in range(count.value or 0)}
    return {
        "DriverVersion": said(attempt(nvml.nvmlSystemGetDriverVersion)),
        "NVMLVersion": said(attempt(nvml.nvmlSystemGetNVMLVersion)),
        "CudaDriverVersion": said(attempt(nvml.nvmlSystemGetCudaDriverVersion_v2)),
        "count": said(count),
        "ProcessName": names,
        "gpu": gpus,
    }


def _gpu(nvml: Any, index: int, disguise: Disguise, names: Table) -> Table:
    handle = attempt(nvml.nvmlDeviceGetHandleByIndex, index)
    if handle.reason is not None:
        return {"HandleByIndex": said(handle)}
    device = Device(nvml, handle)
    slices = dict(_slices(device, disguise))
    return (
        _disguised(dict(answers(device)), disguise)
        | dict(_processes(device, disguise, names))
        | _gpm(device)
        | dict(kept("P2PStatus", _peers(nvml, device, index)))
        | ({"mig": slices} if slices else {})
    )


def _peers(nvml: Any, device: Device, index: int) -> Table:
    """NVLink's way to each other GPU, by its index."""
    found: Table = {}
    for other in range(attempt(nvml.nvmlDeviceGetCount).value or 0):
        handle = attempt(nvml.nvmlDeviceGetHandleByIndex, other)
        if other != index and handle.known:
            value = said(device.ask("nvmlDeviceGetP2PStatus", handle.value, P2P_NVLINK))
            found |= {} if value in _NO_SUCH else {str(other): {str(P2P_NVLINK): value}}
    return found


def _processes(device: Device, disguise: Disguise, names: Table) -> Iterator[tuple[str, Any]]:
    for kind in ("ComputeRunningProcesses", "GraphicsRunningProcesses"):
        found = device.ask(f"nvmlDeviceGet{kind}")
        if found.value is None:
            yield from kept(kind, said(found))
            continue
        listed: Table = {"count": len(found.value)}
        for place, each in enumerate(found.value):
            used = _NO_NUMBER if each.usedGpuMemory is None else each.usedGpuMemory
            listed[str(place)] = {"pid": disguise.pid(each.pid), "usedGpuMemory": used}
            name = attempt(device.nvml.nvmlSystemGetProcessName, each.pid).map(disguise.process)
            names[str(disguise.pid(each.pid))] = said(name)
        yield kind, listed


def _gpm(device: Device) -> Table:
    """One reading, over the shortest time there is."""
    monitor = Gpm(device.nvml, device.handle.value)
    if monitor.reason is not None:
        return {}
    with contextlib.closing(monitor):
        time.sleep(APART_S)
        monitor.tick(0)
        values = monitor.rows[-1] if monitor.rows else ()
    told = zip(METRICS.values(), values, strict=False)
    return {"GpmSupport": 1, "Gpm": {str(key): value for key, value in told if value is not None}}


def _slices(device: Device, disguise: Disguise) -> Iterator[tuple[str, Table]]:
    for slot in range(device.ask("nvmlDeviceGetMaxMigDeviceCount").value or 0):
        handle = device.ask("nvmlDeviceGetMigDeviceHandleByIndex", slot)
        if handle.reason is None:
            yield str(slot), _disguised(dict(answers(Device(device.nvml, handle))), disguise)


def _disguised(told: Table, disguise: Disguise) -> Table:
    """The answers without what names a board."""
    changes = {"UUID": disguise.uuid, "Serial": disguise.serial}
    for name, change in changes.items():
        if name in told and not told[name].startswith("!"):
            told[name] = change(told[name])
    if isinstance(told.get("PciInfo"), dict):
        told["PciInfo"]["busId"] = disguise.bus(told["PciInfo"]["busId"])
    return told


def _cuda(disguise: Disguise) -> Table:
    """CUDA's order of the same devices; without CUDA, its own word for no device."""
    found = cuda_devices()
    if found.value is None:
        return {"count": 0, "init": "!100"}
    return {"count": len(found.value)} | {
        str(device.ordinal): {
            "uuid": _or_unknown(device.uuid.map(partial(_prefixed, disguise))),
            "bus_id": _or_unknown(device.pci_bus_id.map(disguise.bus)),
        }
        for device in found.value
    }


def _prefixed(disguise: Disguise, uuid: str) -> str:
    return f"GPU-{disguise.uuid(uuid)}"


def _or_unknown(found: Reading[str]) -> str:
    return found.value or "!801"
