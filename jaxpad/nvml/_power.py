"""Power, energy and temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._device import Device
from jaxpad.nvml._fields import Fields
from jaxpad.nvml._reading import Reading, first, plausible

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
