"""The NVML fields that a snapshot and the sampler ask for in one call (nvml.h, NVML_FI_DEV_*)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxpad.nvml._reading import Reading

Fields = Mapping[Any, Reading[Any]]

MEMORY_TEMPERATURE = 82
ENERGY = 83  # mJ
LINK_COUNT = 91
POWER_AVERAGE = 185  # mW
POWER_INSTANT = 186  # mW
SHUTDOWN_TLIMIT, SLOWDOWN_TLIMIT, MEMORY_MAX_TLIMIT, GPU_MAX_TLIMIT = 193, 194, 195, 196

# Time for which the clocks were held down, in ns, by reason.
SLOWED = {
    "sw_power_cap": 74,
    "sync_boost": 76,
    "board_limit": 77,
    "reliability": 79,
    "sw_thermal_slowdown": 269,
    "hw_thermal_slowdown": 270,
    "hw_power_brake_slowdown": 271,
}

ALL = (
    MEMORY_TEMPERATURE,
    ENERGY,
    LINK_COUNT,
    POWER_AVERAGE,
    POWER_INSTANT,
    SHUTDOWN_TLIMIT,
    SLOWDOWN_TLIMIT,
    MEMORY_MAX_TLIMIT,
    GPU_MAX_TLIMIT,
    *SLOWED.values(),
)

# Of one NVLink, with the link as the field's scope.
LINK_STATE, LINK_VERSION = 165, 166
LINK_REPLAY, LINK_RECOVERY, LINK_CRC = 161, 162, 163
LINK_FAILED_RECOVERIES, LINK_SYMBOL_ERRORS = 214, 221  # NVLink 5 and newer
