"""Whether a GPU is held back: by heat, by its power supply, by a limit that somebody set."""

from __future__ import annotations

from jaxpad.core.bounds import Bound
from jaxpad.health.model import (
    Answer,
    Gpu,
    Reading,
    absent,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
)

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
    """Fail: heat or the power supply holds the clocks down at this moment.

    Inconclusive: the hardware did so for long since the driver was loaded.
    """
    found = gpu.state.throttle.reasons
    active = [FAULTS[reason] for reason in FAULTS if reason in (found.value or ())]
    if active:
        why = "the clocks are held down now, by half or more where the hardware does it"
        words = ", ".join(words for words, _ in active)
        return failed(words, active[0][1], why=why, bound="none active", source=EVENTS)
    bound, longest = gpu.bound("slowdown_seconds_most"), _longest(gpu)
    if longest and gpu.slowed_s(longest) > bound.value:
        return _was_slow(gpu, longest, bound)
    if found.value is None:
        return absent(found, "clocks event reasons", expected=gpu.described)
    now = ", ".join(found.value).replace("_", " ") or "none"
    return passed(f"{now}{_before(gpu)}", source=EVENTS)


_HARDWARE = ("hw_power_brake_slowdown", "hw_thermal_slowdown")


def _longest(gpu: Gpu) -> str:
    return max(_HARDWARE, key=gpu.slowed_s)


def _was_slow(gpu: Gpu, reason: str, bound: Bound) -> Answer:
    words, remedy = FAULTS[reason]
    took = gpu.slowed_s(reason)
    shown = held(took, "s", f"at most {bound.value:g} s", bound)
    return inconclusive(
        f"{took / 60:.0f} min of {words} since the driver was loaded, none now",
        f"ask again under load; if it grows, {remedy}",
        why="the clocks were held down by half or more",
        **shown,
    )


def _before(gpu: Gpu) -> str:
    """Slowdowns since the driver was loaded, in words; empty where there was none."""
    told = [
        f"{gpu.slowed_s(reason):.0f} s of {words}"
        for reason, (words, _) in FAULTS.items()
        if gpu.slowed_s(reason) >= 1
    ]
    return f"; since the driver was loaded {', '.join(told)}" if told else ""


def temperature(gpu: Gpu) -> Answer:
    """Fail: at or above the temperature at which the GPU slows down, its memory's, or the bound.

    Newer GPUs tell the margin to it, older ones the limit itself.
    """
    state = gpu.state.temperature
    if state.gpu_celsius.value is None:
        return absent(state.gpu_celsius, "temperature", expected=gpu.described)
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
            return absent(found, "power limit", expected=gpu.described)
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


_SET = "applications_clocks_setting"  # also of locked clocks


def clocks(gpu: Gpu) -> Answer:
    """Inconclusive: somebody has set clocks below the highest, which explains slowness.

    It is no fault; a site that means it says so with `clock_limit_least`. The applications
    clocks that a board comes with are nobody's doing.
    """
    state, bound = gpu.state.clocks, gpu.bound("clock_limit_least")
    caps = [
        (_graphics_cap(gpu), state.max_graphics_mhz.value or state.max_sm_mhz.value, "GPU"),
        (
            _chosen(state.set_memory_mhz, state.default_memory_mhz),
            state.max_memory_mhz.value,
            "memory",
        ),
    ]
    known = [(cap, most, words) for cap, most, words in caps if cap is not None and most]
    for cap, most, words in known:
        if cap < bound.value * most:
            shown = held(cap, "MHz", f"at least {bound.value * most:g} MHz", bound)
            return _capped(gpu, f"{words} clock set to {cap} of {most} MHz", shown)
    if _held_at_rest(gpu, known):
        return _capped(gpu, "a set clock holds it, and at rest it is not told which", {})
    if gpu.state.throttle.reasons.value is None and not known:
        return absent(gpu.state.throttle.reasons, "clocks event reasons", expected=gpu.described)
    return passed(
        "; ".join(f"{words} clock set to {cap} MHz" for cap, _, words in known) or "not set"
    )


def _capped(gpu: Gpu, seen: str, shown: dict[str, object]) -> Answer:
    at = gpu.state.index
    remedy = (
        f"nvidia-smi -i {at} -rgc and -rmc (locked clocks), -rac (applications clocks), or set "
        "clock_limit_least if it is meant"
    )
    return inconclusive(seen, remedy, why="it will be slower than its model", **shown)


def _chosen(own: Reading[int], default: Reading[int]) -> int | None:
    """An applications clock that is not the board's own, in MHz."""
    return None if own.value == default.value else own.value


def _graphics_cap(gpu: Gpu) -> int | None:
    """The clock in MHz that somebody set: by applications clocks, or seen at work."""
    state, reasons = gpu.state.clocks, gpu.state.throttle.reasons.value or ()
    chosen, now = _chosen(state.set_graphics_mhz, state.default_graphics_mhz), state.sm_mhz.value
    if _SET not in reasons or not gpu.at_work or now is None:
        return chosen
    board = state.default_graphics_mhz.value if chosen is None else None
    if board is not None and (now >= board or len(reasons) > 1):
        return None
    return min(now, chosen or now)


def _held_at_rest(gpu: Gpu, known: list[tuple[int, int, str]]) -> bool:
    reasons = gpu.state.throttle.reasons.value or ()
    board = gpu.state.clocks.default_graphics_mhz.value
    return _SET in reasons and not gpu.at_work and not known and board is None
