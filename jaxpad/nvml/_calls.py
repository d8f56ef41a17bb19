"""Every call that a recording makes, by the keys of a scenario file.

A key is a call's name without `nvmlDeviceGet`; arguments and parts of a structure follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._links import MOST_LINKS

PLAIN = (
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
    "PowerManagementLimitConstraints",
    "PowerUsage",
    "RemappedRows",
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
WITH_ARGUMENTS: dict[str, list[tuple[int, ...]]] = {
    "ClockInfo": [(kind,) for kind in range(4)],
    "MaxClockInfo": [(kind,) for kind in range(4)],
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
PARTS: dict[str, Callable[[Any], Any]] = {
    "RetiredPages": len,
    "ViolationStatus": lambda status: status.violationTime,
}

STRUCTURES: dict[str, tuple[str, ...]] = {
    "Attributes": ("multiprocessorCount", "memorySizeMB"),
    "MemoryInfo": ("total", "free", "used"),
    "PciInfo": ("busId", "pciDeviceId", "pciSubSystemId"),
    "UtilizationRates": ("gpu", "memory"),
}

OF_LINKS = (
    fields.LINK_STATE,
    fields.LINK_VERSION,
    fields.LINK_REPLAY,
    fields.LINK_RECOVERY,
    fields.LINK_CRC,
    fields.LINK_FAILED_RECOVERIES,
    fields.LINK_SYMBOL_ERRORS,
)
FIELDS: tuple[int | tuple[int, int], ...] = (
    *fields.ALL,
    *((field, link) for link in _LINKS for field in OF_LINKS),
)
