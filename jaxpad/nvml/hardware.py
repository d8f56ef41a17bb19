"""What a GPU's memory is worth, and what the GPU depends on: PCIe, NVLinks, the fabric."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.core.reading import GARBAGE, Reading, absent, attempt, first, plausible
from jaxpad.nvml import device as fields
from jaxpad.nvml.device import Device, Fields

# The GPU's memory: how much, how busy, and how sound.

SINGLE, DOUBLE = 0, 1  # nvmlMemoryErrorType_t; also nvmlPageRetirementCause_t
VOLATILE, AGGREGATE = 0, 1  # nvmlEccCounterType_t
SRAM = 7  # nvmlMemoryLocation_t


@dataclass(frozen=True)
class Memory:
    """Bytes. `used` does not hold `reserved`, which the driver keeps for itself."""

    total_bytes: Reading[int]
    used_bytes: Reading[int]
    free_bytes: Reading[int]
    reserved_bytes: Reading[int]  # absent before driver 510, whose `used` holds it


@dataclass(frozen=True)
class Ecc:
    """Error correction: on, on after the next reset, and the errors it has counted.

    Volatile counts are since the driver was loaded, aggregate ones of the board's life.
    """

    enabled: Reading[bool]
    pending: Reading[bool]
    corrected_volatile: Reading[int]
    uncorrected_volatile: Reading[int]
    corrected_aggregate: Reading[int]
    uncorrected_aggregate: Reading[int]
    sram_uncorrected: Reading[int]  # aggregate, of caches and registers
    sram_exceeded: Reading[bool]  # NVIDIA's own threshold for replacing boards; told to root


@dataclass(frozen=True)
class RemappedRows:
    """Rows of memory that were replaced (Ampere and newer), by the kind of error."""

    correctable: Reading[int]
    uncorrectable: Reading[int]
    pending: Reading[bool]  # a reset is needed
    failed: Reading[bool]  # no spare row was left
    banks_without_spare: Reading[int]  # the next bad row of such a bank cannot be replaced
    repair_pending: Reading[bool]  # of a memory channel or a TPC, by a reset (Blackwell)


@dataclass(frozen=True)
class RetiredPages:
    """Pages that are not used any more (before Ampere), by the kind of error."""

    single_bit: Reading[int]
    double_bit: Reading[int]
    pending: Reading[bool]


def memory(device: Device) -> Memory:
    """Version 2 of the question; version 1 where the driver is older than 510."""
    found = _sound(device.ask("nvmlDeviceGetMemoryInfo", _version_2(device.nvml)))
    reserved = found.map(lambda info: info.reserved)
    if found.reason is not None:
        older = _sound(device.ask("nvmlDeviceGetMemoryInfo"))
        found = older if older.known else found
    return Memory(
        total_bytes=found.map(lambda info: info.total),
        used_bytes=found.map(lambda info: info.used),
        free_bytes=found.map(lambda info: info.free),
        reserved_bytes=reserved,
    )


def _version_2(nvml: Any) -> Any:
    return getattr(nvml, "nvmlMemory_v2", None)


def _sound(found: Reading[Any]) -> Reading[Any]:
    info = found.value
    if info is None or (info.total > 0 and info.used <= info.total >= info.free):
        return found
    return absent(f"{GARBAGE}: {info.used} bytes used and {info.free} free of {info.total}")


def ecc(device: Device) -> Ecc:
    """Ask for the mode and the four totals."""
    enabled, pending = device.pair("nvmlDeviceGetEccMode")
    return Ecc(
        enabled=enabled.map(bool),
        pending=pending.map(bool),
        corrected_volatile=_errors(device, SINGLE, VOLATILE),
        uncorrected_volatile=_errors(device, DOUBLE, VOLATILE),
        corrected_aggregate=_errors(device, SINGLE, AGGREGATE),
        uncorrected_aggregate=_errors(device, DOUBLE, AGGREGATE),
        **_sram(device),
    )


def _sram(device: Device) -> dict[str, Reading[Any]]:
    """Root is told both, anybody the errors."""
    found = sram_status(device)
    return {
        "sram_uncorrected": first(
            lambda: found.map(lambda info: info.aggregateUncParity + info.aggregateUncSecDed),
            lambda: device.number("nvmlDeviceGetMemoryErrorCounter", DOUBLE, AGGREGATE, SRAM),
        ),
        "sram_exceeded": found.map(lambda info: bool(info.bThresholdExceeded)),
    }


def sram_status(device: Device) -> Reading[Any]:
    """NVML's structure of errors outside DRAM (Ampere and newer)."""
    info = attempt(lambda: device.nvml.c_nvmlEccSramErrorStatus_v1_t())
    if info.value is None:
        return info
    asked = device.ask("nvmlDeviceGetSramEccErrorStatus", ctypes.byref(info.value))
    return asked.map(lambda _: info.value)


def _errors(device: Device, kind: int, counter: int) -> Reading[int]:
    return device.number("nvmlDeviceGetTotalEccErrors", kind, counter)


def remapped_rows(device: Device, name: str, corrected: Ecc) -> RemappedRows:
    """Ask for the rows where the board can have any.

    A GeForce without error correction answers with success and no sense
    (https://github.com/leptonai/gpud/issues/351).
    """
    reason = corrected.enabled.reason
    if reason is None and "GeForce" in name and not corrected.enabled.value:
        reason = "error correction is off on a GeForce"
    if reason is not None:
        none = absent(f"not asked: without error correction the answer is no answer ({reason})")
        return RemappedRows(none, none, none, none, none, none)
    found = device.ask("nvmlDeviceGetRemappedRows")
    return RemappedRows(
        correctable=found.map(lambda rows: rows[0]),
        uncorrectable=found.map(lambda rows: rows[1]),
        pending=found.map(lambda rows: bool(rows[2])),
        failed=found.map(lambda rows: bool(rows[3])),
        banks_without_spare=device.ask("nvmlDeviceGetRowRemapperHistogram").map(
            lambda banks: banks.none
        ),
        repair_pending=device.ask("nvmlDeviceGetRepairStatus").map(any),
    )


def retired_pages(device: Device) -> RetiredPages:
    """Ask how many pages each kind of error has cost."""
    return RetiredPages(
        single_bit=device.ask("nvmlDeviceGetRetiredPages", SINGLE).map(len),
        double_bit=device.ask("nvmlDeviceGetRetiredPages", DOUBLE).map(len),
        pending=device.ask("nvmlDeviceGetRetiredPagesPendingStatus").map(bool),
    )


# What a GPU depends on: its PCIe link, its NVLinks and the fabric behind them.

MOST_LINKS = 36  # NVML_NVLINK_MAX_LINKS
FABRIC_STATES = ("not_supported", "not_started", "in_progress", "completed")

# NVML_NVLINK_STATE_*: active, asleep to save power, and active without traffic.
ACTIVE = frozenset({1, 2, 3})

# The call that answers where a driver does not know the field, with its
# nvmlNvLinkErrorCounter_t.
_CALLS: dict[int, tuple[Any, ...]] = {
    fields.LINK_STATE: ("nvmlDeviceGetNvLinkState",),
    fields.LINK_VERSION: ("nvmlDeviceGetNvLinkVersion",),
    fields.LINK_REPLAY: ("nvmlDeviceGetNvLinkErrorCounter", 0),
    fields.LINK_RECOVERY: ("nvmlDeviceGetNvLinkErrorCounter", 1),
    fields.LINK_CRC: ("nvmlDeviceGetNvLinkErrorCounter", 2),
}
_ASKED = tuple(_CALLS)
_NEWER = (fields.LINK_FAILED_RECOVERIES, fields.LINK_SYMBOL_ERRORS)
_OLDER: Reading[int] = absent("not asked: NVLink 5 and newer count this")


@dataclass(frozen=True)
class Pcie:
    """The PCIe link. It trains down when idle, so a judgement needs load."""

    generation: Reading[int]
    width: Reading[int]  # lanes
    max_generation: Reading[int]  # of GPU and slot together
    max_width: Reading[int]
    gpu_max_generation: Reading[int]
    replays: Reading[int]  # since the driver was loaded


@dataclass(frozen=True)
class NvLink:
    """One link and the errors it has counted."""

    link: int
    active: Reading[bool]
    version: Reading[int]
    replay_errors: Reading[int]
    recovery_errors: Reading[int]
    crc_errors: Reading[int]
    failed_recoveries: Reading[int]  # NVLink 5 and newer
    symbol_errors: Reading[int]  # NVLink 5 and newer


@dataclass(frozen=True)
class Fabric:
    """The NVSwitch fabric; CUDA does not start until `state` is completed."""

    state: Reading[str]
    status: Reading[int]  # nvmlReturn_t of the fabric manager; 0 is success
    clique: Reading[int]
    cluster_uuid: Reading[str]
    health_mask: Reading[int]
    health_summary: Reading[int]  # 0 not told (also by version 2), 1 healthy


def pcie(device: Device) -> Pcie:
    """Ask for link, limits and replays."""

    def link(call: str, most: int) -> Reading[int]:
        return device.number(f"nvmlDeviceGet{call}", low=1, high=most)

    return Pcie(
        generation=link("CurrPcieLinkGeneration", 10),
        width=link("CurrPcieLinkWidth", 32),
        max_generation=link("MaxPcieLinkGeneration", 10),
        max_width=link("MaxPcieLinkWidth", 32),
        gpu_max_generation=link("GpuMaxPcieLinkGeneration", 10),
        replays=device.number("nvmlDeviceGetPcieReplayCounter"),
    )


def nvlinks(device: Device, bulk: Fields) -> Reading[tuple[NvLink, ...]]:
    """Every link that the GPU has; absent where it has none to ask about."""
    count = bulk[fields.LINK_COUNT].value
    known = count if count is not None and 0 <= count <= MOST_LINKS else _counted(device)
    if not known:
        return absent(device.ask("nvmlDeviceGetNvLinkState", 0).reason or "no links: NVML counts 0")
    told = device.fields([(field, link) for link in range(known) for field in _ASKED])
    return Reading(tuple(_link(device, told, link) for link in range(known)))


def _counted(device: Device) -> int:
    """How many links answer, for drivers that do not count them."""
    for link in range(MOST_LINKS):
        if device.ask("nvmlDeviceGetNvLinkState", link).reason is not None:
            return link
    return MOST_LINKS


def _link(device: Device, told: Fields, link: int) -> NvLink:
    def number(field: int) -> Reading[Any]:
        """Today's field, else the call that older drivers know."""
        found = told[field, link]
        if found.reason is not None:
            call, *kind = _CALLS[field]
            older = device.ask(call, link, *kind)
            found = older if older.reason is None else found
        return plausible(found, 0, 2.0**63)

    version = number(fields.LINK_VERSION)
    newer = device.fields([(field, link) for field in _NEWER]) if (version.value or 0) >= 5 else {}
    return NvLink(
        link=link,
        active=number(fields.LINK_STATE).map(ACTIVE.__contains__),
        version=version,
        replay_errors=number(fields.LINK_REPLAY),
        recovery_errors=number(fields.LINK_RECOVERY),
        crc_errors=number(fields.LINK_CRC),
        failed_recoveries=newer.get((fields.LINK_FAILED_RECOVERIES, link), _OLDER),
        symbol_errors=newer.get((fields.LINK_SYMBOL_ERRORS, link), _OLDER),
    )


P2P_NVLINK = 2  # nvmlGpuP2PCapsIndex_t


def peer_links(
    device: Device, others: Mapping[int, Reading[Any]], links: Reading[tuple[NvLink, ...]]
) -> dict[str, Reading[int]]:
    """Whether NVLink carries data to each other GPU, by its index: nvmlGpuP2PStatus_t, 0 is OK.

    Not asked of a GPU whose links are all down. That another GPU is lost is no error of this one.
    """
    if not any(link.active.value for link in links.value or ()):
        return {}
    known = {str(index): handle.value for index, handle in others.items() if handle.known}
    return {index: _status(device, handle) for index, handle in known.items()}


def _status(device: Device, handle: Any) -> Reading[int]:
    found = device.ask("nvmlDeviceGetP2PStatus", handle, P2P_NVLINK)
    return found if found.known else absent(f"not told: {found.reason}")


def fabric(device: Device) -> Fabric:
    """Ask what the fabric manager has made of the links."""
    found = fabric_info(device)
    return Fabric(
        state=found.map(lambda info: FABRIC_STATES[info.state]),
        status=found.map(lambda info: info.status),
        clique=found.map(lambda info: info.cliqueId),
        cluster_uuid=found.map(lambda info: bytes(info.clusterUuid).hex()),
        health_mask=found.map(lambda info: info.healthMask),
        health_summary=found.map(lambda info: getattr(info, "healthSummary", 0)),
    )


def fabric_info(device: Device) -> Reading[Any]:
    """NVML's structure, in version 3, or in version 2 where the driver is older than 570."""
    return first(lambda: _fabric(device, 3), lambda: _fabric(device, 2))


def _fabric(device: Device, version: int) -> Reading[Any]:
    info = attempt(_blank, device.nvml, version)
    if info.value is None:
        return info
    asked = device.ask("nvmlDeviceGetGpuFabricInfoV", ctypes.byref(info.value))
    return asked.map(lambda _: info.value)


def _blank(nvml: Any, version: int) -> Any:
    info = getattr(nvml, f"c_nvmlGpuFabricInfo_v{version}_t")()
    info.version = getattr(nvml, f"nvmlGpuFabricInfo_v{version}")
    return info
