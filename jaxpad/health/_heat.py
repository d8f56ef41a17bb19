"""Whether a GPU is held back: by heat, by its power supply, by a limit."""

from __future__ import annotations

from jaxpad.health._finding import (
    Answer,
    absent,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
)
from jaxpad.health._subject import Gpu
from jaxpad.nvml import Reading

COOL = "drain the GPU, and check fans, air flow or coolant, dust and the room's temperature"
FEED = "drain the GPU, and check power supplies, cables and the rack's power budget"
BOTH = "drain the GPU, and check cooling (fans, air flow, coolant) and power (supplies, cables)"

# What slows a healthy GPU never does, worst first; a power cap under load and idling are
# normal (Azure's node checks leave them out, too).
FAULTS = {
    "hw_power_brake_slowdown": ("hardware power brake", FEED),
    "hw_thermal_slowdown": ("hardware thermal slowdown", COOL),
    "hw_slowdown": ("hardware slowdown", BOTH),
    "sw_thermal_slowdown": ("software thermal slowdown", COOL),
}
EVENTS = "https://docs.nvidia.com/deploy/nvml-api/group__nvmlClocksEventReasons.html"


def slowdown(gpu: Gpu) -> Answer:
    """Fail: heat or the power supply holds the clocks down at this moment."""
    found = gpu.state.throttle.reasons
    if found.value is None:
        return absent(found, "clocks event reasons", expected=gpu.model is not None)
    active = [FAULTS[reason] for reason in FAULTS if reason in found.value]
    if not active:
        return passed(", ".join(found.value).replace("_", " ") or "none", source=EVENTS)
    why = "the clocks are held down now, by half or more where the hardware does it"
    words = ", ".join(words for words, _ in active)
    return failed(words, active[0][1], why=why, bound="none active", source=EVENTS)


def temperature(gpu: Gpu) -> Answer:
    """Fail: at or above the temperature at which the GPU slows down, its memory's, or the bound.

    Newer GPUs tell the margin to it, older ones the limit itself.
    """
    state = gpu.state.temperature
    if state.gpu_celsius.value is None:
        return absent(state.gpu_celsius, "temperature", expected=True)
    now, most = state.gpu_celsius.value, gpu.bound("temperature_most")
    if now > most.value:
        shown = held(now, "°C", f"at most {most.value:g} °C", most)
        return failed(f"{now} °C", COOL, **shown)
    margin, limit = _margin(gpu)
    if margin.value is None:
        words = f"{now} °C; the driver gives no limit to hold it to"
        more = {"value": float(now), "unit": "°C"}
        found = absent(margin, "temperature limit", expected=False)
        return not_applicable(words, **more) if not found.remedy else found
    least = gpu.bound("temperature_margin_least")
    shown = held(now, "°C", f"a margin above {least.value:g} °C", least)
    if margin.value <= least.value:
        return failed(f"{now} °C, {margin.value} °C below {limit}", COOL, **shown)
    return passed(f"{now} °C, {margin.value} °C below {limit}", **shown)


def _margin(gpu: Gpu) -> tuple[Reading[int], str]:
    """The smallest distance to a limit, in °C, and the name of that limit."""
    state = gpu.state.temperature
    margins = [(state.margin_celsius, "the first slowdown")]
    for now, limit, words in (
        (state.gpu_celsius, state.slowdown_celsius, "its slowdown"),
        (state.memory_celsius, state.memory_max_celsius, "the memory's limit"),
    ):
        if now.value is not None and limit.value is not None:
            margins.append((Reading(limit.value - now.value), words))
    known = [(found.value, words) for found, words in margins if found.value is not None]
    return (Reading(min(known)[0]), min(known)[1]) if known else margins[0]


def power(gpu: Gpu) -> Answer:
    """Inconclusive: a limit below the board's default, which explains slowness and is no fault.

    A site that caps on purpose says so with `power_limit_least`.
    """
    state, bound = gpu.state.power, gpu.bound("power_limit_least")
    now, default = state.enforced_limit_watts, state.default_limit_watts
    for found in (now, default):
        if found.value is None:
            return absent(found, "power limit", expected=gpu.model is not None)
    watts, least = float(now.value or 0), bound.value * float(default.value or 0)
    shown = held(watts, "W", f"at least {least:g} W", bound)
    if watts >= least:
        return passed(f"{watts:g} W", **shown)
    remedy = (
        f"nvidia-smi -i {gpu.state.index} -pl {default.value:g}, or set power_limit_least if the "
        "cap is meant"
    )
    why = "it will be slower than its model"
    return inconclusive(f"capped at {watts:g} of {default.value:g} W", remedy, why=why, **shown)
