"""Clocks, and what holds them down."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._device import Device
from jaxpad.nvml._fields import Fields
from jaxpad.nvml._reading import Reading, absent, first, plausible

GRAPHICS, SM, MEMORY = 0, 1, 2  # nvmlClockType_t
FASTEST = 10**5  # MHz; GDDR7 is at 14,000

# nvmlClocksEventReason* of nvml.h, by bit.
REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}

# nvmlPerfPolicyType_t, which drivers before 545 count by.
_POLICIES = {
    "sw_power_cap": 0,
    "sw_thermal_slowdown": 1,
    "sync_boost": 2,
    "board_limit": 3,
    "reliability": 5,
}


@dataclass(frozen=True)
class Clocks:
    """MHz, now and at most."""

    sm_mhz: Reading[int]
    memory_mhz: Reading[int]
    graphics_mhz: Reading[int]
    max_sm_mhz: Reading[int]
    max_memory_mhz: Reading[int]
    max_graphics_mhz: Reading[int]


@dataclass(frozen=True)
class Throttle:
    """Why the clocks are as they are: NVML's clocks event reasons, once throttle reasons.

    `slowed_ns` is for how long each reason has held the clocks down since the driver was
    loaded.
    """

    bits: Reading[int]
    reasons: Reading[tuple[str, ...]]
    supported: Reading[tuple[str, ...]]
    slowed_ns: dict[str, Reading[int]]


def clocks(device: Device) -> Clocks:
    """Ask for six clocks; a highest clock of 0 cannot be, a clock of 0 now can."""
    return Clocks(
        sm_mhz=device.number("nvmlDeviceGetClockInfo", SM, high=FASTEST, unit="MHz"),
        memory_mhz=device.number("nvmlDeviceGetClockInfo", MEMORY, high=FASTEST, unit="MHz"),
        graphics_mhz=device.number("nvmlDeviceGetClockInfo", GRAPHICS, high=FASTEST, unit="MHz"),
        max_sm_mhz=_highest(device, SM),
        max_memory_mhz=_highest(device, MEMORY),
        max_graphics_mhz=_highest(device, GRAPHICS),
    )


def _highest(device: Device, kind: int) -> Reading[int]:
    return device.number("nvmlDeviceGetMaxClockInfo", kind, low=1, high=FASTEST, unit="MHz")


def throttle(device: Device, bulk: Fields) -> Throttle:
    """Ask by today's names, then by those of drivers before 535."""
    bits = _bits(device, "Current")
    return Throttle(
        bits=bits,
        reasons=bits.map(reasons),
        supported=_bits(device, "Supported").map(reasons),
        slowed_ns={name: _slowed(device, bulk, name) for name in fields.SLOWED},
    )


def _bits(device: Device, kind: str) -> Reading[int]:
    return first(
        lambda: device.number(f"nvmlDeviceGet{kind}ClocksEventReasons"),
        lambda: device.number(f"nvmlDeviceGet{kind}ClocksThrottleReasons"),
    )


def reasons(bits: int) -> tuple[str, ...]:
    """The names of the bits that are set; one without a name is `0x800`."""
    set_ = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    return tuple(REASONS.get(bit, hex(bit)) for bit in set_)


def _slowed(device: Device, bulk: Fields, name: str) -> Reading[int]:
    return first(
        lambda: plausible(bulk[fields.SLOWED[name]], 0, 2.0**63, "ns"),
        lambda: violation(device, name),
    )


def violation(device: Device, name: str) -> Reading[int]:
    """The same count from the older call, where that has one for this reason."""
    if name not in _POLICIES:
        return absent("not asked: no older call counts this")
    found = device.ask("nvmlDeviceGetViolationStatus", _POLICIES[name])
    return plausible(found.map(lambda status: status.violationTime), 0, 2.0**63, "ns")
