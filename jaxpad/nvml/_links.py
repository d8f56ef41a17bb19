"""What a GPU hangs on: its PCIe link, its NVLinks and the fabric behind them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._device import Device
from jaxpad.nvml._fields import Fields
from jaxpad.nvml._reading import Reading, absent, attempt, first, plausible

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


def fabric(device: Device) -> Fabric:
    """Ask what the fabric manager has made of the links."""
    found = fabric_info(device)
    return Fabric(
        state=found.map(lambda info: FABRIC_STATES[info.state]),
        status=found.map(lambda info: info.status),
        clique=found.map(lambda info: info.cliqueId),
        cluster_uuid=found.map(lambda info: bytes(info.clusterUuid).hex()),
        health_mask=found.map(lambda info: info.healthMask),
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
