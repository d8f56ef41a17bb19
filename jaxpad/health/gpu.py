"""Whether a GPU is held back: by heat, by its power supply, by a limit."""

from __future__ import annotations

from jaxpad.core.reading import Reading
from jaxpad.health.model import (
    MODERN,
    Answer,
    Gpu,
    absent,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
    printable,
    readings,
    short,
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
    """Fail: heat or the power supply holds the clocks down at this moment."""
    found = gpu.state.throttle.reasons
    if found.value is None:
        return absent(found, "clocks event reasons", expected=gpu.described)
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
        return absent(state.gpu_celsius, "temperature", expected=not gpu.vgpu)
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


# Whether a GPU's memory is sound and all there.

RESET = "drain the GPU and reset it (nvidia-smi -i {} -r) or reboot"
REPLACE = "drain the node, run NVIDIA's field diagnostic, and have the GPU replaced"


def ecc(gpu: Gpu) -> Answer:
    """Fail: more uncorrected errors since the driver was loaded than the bound.

    Not applicable on boards whose error correction is optional and off.
    """
    state, bound = gpu.state.ecc, gpu.bound("ecc_uncorrected_most")
    if gpu.consumer and not state.enabled.value:
        return not_applicable("error correction is off or not there, as on most such boards")
    if state.enabled.value is None:
        return absent(state.enabled, "error correction", expected=gpu.described)
    if not state.enabled.value:
        remedy = f"nvidia-smi -i {gpu.state.index} -e 1, then reset the GPU"
        return inconclusive("off: errors would not be seen", remedy)
    errors = state.uncorrected_volatile
    if errors.value is None:
        return absent(errors, "uncorrected errors", expected=True)
    shown = held(errors.value, "errors", f"at most {bound.value:g}", bound)
    seen = f"{errors.value} uncorrected errors since the driver was loaded"
    if errors.value > bound.value:
        return failed(seen, RESET.format(gpu.state.index), why="data was lost", **shown)
    return passed(seen, **shown)


def rows(gpu: Gpu) -> Answer:
    """Fail: a row that waits for a reset to be replaced, or one for which no spare was left."""
    state = gpu.state.remapped_rows
    told = state.failed.value is not None and state.pending.value is not None
    if not told and (gpu.architecture not in MODERN or gpu.consumer):
        return not_applicable("only data-center GPUs since Ampere replace rows")
    if not told and gpu.sliced:
        return not_applicable("not told of a GPU that is cut into slices")
    if not told:
        return absent(state.failed, "row remapping", expected=gpu.described)
    total = (state.correctable.value or 0) + (state.uncorrectable.value or 0)
    seen, more = f"{total} rows replaced", {"value": float(total), "unit": "rows"}
    if state.failed.value:
        return failed(f"{seen}, and one could not be", REPLACE, why="no spare is left", **more)
    if state.pending.value:
        why = "the bad row is in use until the reset"
        return failed(f"{seen}, one waits", RESET.format(gpu.state.index), why=why, **more)
    return passed(seen, **more)


def pages(gpu: Gpu) -> Answer:
    """Fail: a page that waits for a reset to be retired (Volta and Turing)."""
    state = gpu.state.retired_pages
    if gpu.architecture in MODERN or gpu.consumer:
        return not_applicable("GPUs since Ampere replace rows")
    if state.pending.value is None:
        return absent(state.pending, "retired pages", expected=gpu.described)
    total = (state.single_bit.value or 0) + (state.double_bit.value or 0)
    seen, more = f"{total} pages retired", {"value": float(total), "unit": "pages"}
    if state.pending.value:
        why = "the bad page is in use until the reset"
        return failed(f"{seen}, one waits", RESET.format(gpu.state.index), why=why, **more)
    return passed(seen, **more)


def memory(gpu: Gpu) -> Answer:
    """Inconclusive: much less memory than the model is sold with."""
    total, bound = gpu.state.memory.total_bytes, gpu.bound("memory_least")
    if total.value is None:
        return absent(total, "memory", expected=True)
    gigabytes = total.value / 1e9
    if gpu.vgpu:
        return not_applicable(f"{gigabytes:.1f} GB: the size is the vGPU profile's")
    seen, size = f"{gigabytes:.1f} GB", gpu.model and gpu.model.memory.size_gb
    if not size or not size.confirmed or size.value is None:
        return passed(seen, value=gigabytes, unit="GB")
    least = bound.value * size.value
    shown = held(gigabytes, "GB", f"at least {least:.1f} GB", bound)
    if gigabytes < least:
        remedy = "compare with nvidia-smi -q -d MEMORY; reset the GPU, and replace it if it stays"
        return inconclusive(f"{seen}, sold with {size.value:g} GB", remedy, **shown)
    return passed(seen, **shown)


# Whether a GPU's PCIe link, NVLinks and fabric are as they should be.

SEAT = "drain the node, reseat the GPU and its riser or cable, and replace what stays narrow"
FABRIC = (
    "see nvidia-smi -q for the fabric's state; start nvidia-fabricmanager (and nvidia-imex), or "
    "reset the GPUs"
)
# nvml.h, NVML_GPU_FABRIC_HEALTH_MASK_*: shift, width and the value that tells of something,
# first what fails, then what is inconclusive.
_BROKEN = {
    (0, 0x3, 1): "with less bandwidth",
    (4, 0x3, 1): "with an unhealthy route",
    (12, 0x3, 2): "in no partition",
}
_UNSETTLED = {
    (2, 0x3, 1): "its routes are being recovered",
    (6, 0x3, 1): "recovering from an access timeout",
    (14, 0x3, 2): "the global fabric manager is disconnected",
}
_CONFIGURED = (8, 0xF)  # 0 not told, 1 right
_WRONG = {
    2: "system GUID",
    3: "chassis serial number",
    4: "no partition",
    5: "too few NVLinks",
    6: "incompatible GPU firmware",
    7: "invalid location",
    8: "invalid GPU state",
}
_UNHEALTHY, _LIMITED = 2, 3  # NVML_GPU_FABRIC_HEALTH_SUMMARY_*


def pcie(gpu: Gpu) -> Answer:
    """Fail: a GPU at work has fewer lanes than GPU and slot have together.

    "The current link generation and width. These may be reduced when the GPU is not in use"
    (https://docs.nvidia.com/deploy/nvidia-smi/): at rest a narrow link is inconclusive, and
    the generation is judged at work alone. A narrower slot, or one slower than its
    peers' is inconclusive, too.
    """
    state, bound = gpu.state.pcie, gpu.bound("pcie_width_least")
    width = gpu.model.pcie.width if gpu.model else None
    for found in (state.width, state.max_width):
        if found.value is None:
            should = bool(width and width.confirmed) and not gpu.vgpu
            return absent(found, "PCIe width", expected=should)
    now, most = state.width.value or 0, state.max_width.value or 0
    shown = held(now, "lanes", f"at least {bound.value * most:g} lanes", bound)
    if now < bound.value * most:
        if not gpu.at_work:
            why = "the GPU is not at work, and its link may rest, too"
            return inconclusive(f"x{now} of x{most}", "ask again under load", why=why, **shown)
        return failed(f"x{now} of x{most}", SEAT, why="lanes did not train", **shown)
    if width and width.confirmed and most < bound.value * (width.value or 0):
        why = "the slot, riser or another card takes lanes away"
        seen = f"x{now}: the slot has x{most}, the GPU x{width.value:g}"
        remedy = "use a slot with all lanes, or set pcie_width_least if this one is meant"
        return inconclusive(seen, remedy, why=why, **shown)
    return _generation(gpu, f"x{now}, generation", shown)


def _generation(gpu: Gpu, words: str, shown: dict[str, object]) -> Answer:
    """Inconclusive: a slower link at work than GPU and slot have, or a slower slot."""
    state = gpu.state.pcie
    now, most, own = (
        found.value or 0
        for found in (state.generation, state.max_generation, state.gpu_max_generation)
    )
    if gpu.at_work and 0 < now < most:
        return inconclusive(f"{words} {now} of {most} at work", SEAT, why="half or less", **shown)
    best = max(other.state.pcie.max_generation.value or 0 for other in gpu.node.gpus)
    if 0 < most < min(own, best):  # a machine whose slots are all slower is as it was bought
        remedy = "use a slot of the GPU's generation, and see the BIOS setting of its speed"
        return inconclusive(f"{words} {now}: the slot has {most}, the GPU {own}", remedy, **shown)
    return passed(f"{words} {now or 'unknown'}", **shown)


def replays(gpu: Gpu) -> Answer:
    """Inconclusive: many packets sent again since the driver was loaded, whenever that was."""
    found, bound = gpu.state.pcie.replays, gpu.bound("pcie_replays_most")
    if found.value is None:
        return absent(found, "PCIe replays", expected=False)
    seen = f"{found.value} replays since the driver was loaded"
    shown = held(found.value, "replays", f"at most {bound.value:g}", bound)
    if found.value > bound.value:
        remedy = "ask again under load; if the number grows, reseat the GPU and its riser"
        return inconclusive(seen, remedy, **shown)
    return passed(seen, **shown)


def nvlink(gpu: Gpu) -> Answer:
    """Fail: fewer links are up than the model has, by a confirmed number.

    Boards whose links need a bridge have no confirmed number and are held to their peers.
    With one GPU there is nobody to link to.
    """
    model, found = gpu.model, gpu.state.nvlinks
    wanted = model.nvlink.links if model and model.nvlink else None
    has = bool(wanted and wanted.confirmed)
    if model and model.nvlink is None:
        return not_applicable("this model has no NVLink")
    alone = len(gpu.node.snapshot.gpus) == 1 or gpu.vgpu  # its links are the host's
    if found.value is None:
        return absent(found, "NVLinks", expected=has and not alone)
    down = [str(link.link) for link in found.value if link.active.value is False]
    up = active(gpu) or 0
    if alone and not up:
        return not_applicable(
            "none is up: there is no second GPU to link to, or the links are the host's"
        )
    if not has or wanted is None or wanted.value is None:
        return passed(f"{up} up; how many there should be is not known", value=up, unit="links")
    bound = gpu.bound("nvlinks_least")
    shown = held(up, "links", f"at least {bound.value * wanted.value:g}", bound)
    if up >= bound.value * wanted.value:
        return passed(f"{up} up", **shown)
    seen = f"{up} of {wanted.value:g} up" + (f"; down: {', '.join(down)}" if down else "")
    return _down(gpu, seen, shown)


def _down(gpu: Gpu, seen: str, shown: dict[str, object]) -> Answer:
    remedy = (
        "see nvidia-smi nvlink -s and dmesg for Xid 74; reset all GPUs together, then have GPU, "
        "bridge or baseboard replaced"
    )
    guest = gpu.state.modes.virtualisation.value in ("passthrough", "vgpu")
    none_up = not any(active(other) for other in gpu.node.gpus)
    if guest and none_up:
        why = "a virtual machine may be given GPUs without their links"
        return inconclusive(f"{seen}, on no GPU", remedy, why=why, **shown)
    why = "collectives run at the speed of the narrowest GPU"
    return failed(seen, remedy, why=why, **shown)


def active(gpu: Gpu) -> int | None:
    """How many NVLinks are up; None where that is not told."""
    links = gpu.state.nvlinks.value
    return None if links is None else sum(link.active.value is True for link in links)


def fabric(gpu: Gpu) -> Answer:
    """Fail: the NVSwitch fabric did not start, ended in an error, or says that it is unhealthy.

    CUDA does not start before it is complete. In progress, recovering and limited are
    inconclusive, and so is a GPU in another cluster or clique than most of its node.
    """
    state = gpu.state.fabric
    if state.state.value is None:
        return absent(state.state, "fabric state", expected=False)
    if state.state.value == "not_supported":
        return not_applicable("this GPU is in no NVSwitch fabric")
    why = "CUDA does not start before the fabric is complete"
    if state.state.value == "in_progress":
        return inconclusive("in progress", "ask again in a minute", why=why)
    if state.state.value != "completed":
        return failed(state.state.value.replace("_", " "), FABRIC, why=why)
    if state.status.value:
        return failed(f"completed with error {state.status.value}", FABRIC, why=why)
    return _fabric_health(gpu)


def _fabric_health(gpu: Gpu) -> Answer:
    mask = gpu.state.fabric.health_mask.value or 0
    summary = gpu.state.fabric.health_summary.value or 0
    broken = [*_said(mask, _BROKEN), *_misconfigured(mask)]
    unsettled = _said(mask, _UNSETTLED)
    if broken or summary == _UNHEALTHY:
        words = ", ".join([*broken, *unsettled]) or "unhealthy by its summary"
        return failed(f"completed, {words}", FABRIC, why="a link, switch or route is at fault")
    if summary == _LIMITED:
        unsettled.append("limited capacity")
    if _elsewhere(gpu):
        unsettled.append("in another cluster or clique than most GPUs of this node")
    if unsettled:
        why = "GPUs may not reach each other over the fabric, or more slowly"
        return inconclusive(f"completed, {', '.join(unsettled)}", FABRIC, why=why)
    return passed("completed")


def _said(mask: int, fields: dict[tuple[int, int, int], str]) -> list[str]:
    return [
        words for (shift, width, value), words in fields.items() if mask >> shift & width == value
    ]


def _misconfigured(mask: int) -> list[str]:
    shift, width = _CONFIGURED
    reason = mask >> shift & width
    return [f"configured wrongly: {_WRONG.get(reason, f'reason {reason}')}"] if reason > 1 else []


def _elsewhere(gpu: Gpu) -> bool:
    """Whether most GPUs of the node are together in a cluster and clique, and this one not."""
    told = [
        (other.state.fabric.cluster_uuid.value, other.state.fabric.clique.value)
        for other in gpu.node.gpus
        if other.state.fabric.state.value == "completed"
    ]
    own = (gpu.state.fabric.cluster_uuid.value, gpu.state.fabric.clique.value)
    return own != max(told, key=told.count)


# Whether a GPU answers with sense, and is set up to run something.

LOST = frozenset({"NVMLError_GpuIsLost", "NVMLError_GpuNotFound", "NVMLError_ResetRequired"})
EXCLUSIVE = "one process at a time: a second JAX process on this GPU does not start"
_NAMED = 3


def answers(gpu: Gpu) -> Answer:
    """Fail: NVML says of a reading that the GPU is lost or needs a reset."""
    every = list(readings(gpu.state))
    lost = next((found for _, found in every if found.error in LOST), None)
    if lost is not None:
        remedy = (
            "drain the node and reset the GPU (nvidia-smi -r) or reboot; if it is lost again, "
            "reseat it and have it replaced"
        )
        return failed(f"{lost.error}", remedy, why="nothing can run on it")
    if not any(found.known for _, found in every):
        return inconclusive(f"no answer: {every[0][1].reason}", "run nvidia-smi -q as root")
    known = "" if gpu.model else ", which configs/gpus does not describe"
    return passed(f"{short(gpu.name) or 'a GPU without a name'}{known}")


def sense(gpu: Gpu) -> Answer:
    """Inconclusive: a reading that cannot be, such as 65535 °C or memory of 0 bytes."""
    wrong = [
        f"{path} {(found.reason or '').partition(': ')[2]}"
        for path, found in readings(gpu.state)
        if found.error == "garbage"
    ]
    if not wrong:
        return passed("every reading can be", value=0.0, unit="readings")
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    seen = printable("; ".join(wrong[:_NAMED])) + more
    remedy = "compare with nvidia-smi -q; if it says the same, reset the GPU or update the driver"
    why = "a sick GPU or driver often shows first in numbers that cannot be"
    return inconclusive(seen, remedy, value=float(len(wrong)), unit="readings", why=why)


_IMEX = 5  # nvml.h, NVML_GPU_RECOVERY_ACTION_RECOVER_IMEX_DOMAIN
_RESET_NOW = "drain the GPU and reset it (nvidia-smi -i {} -r)"
_REBOOT_NOW = "drain the node and reboot it"
_RECOVERY = {  # nvml.h, nvmlDeviceGpuRecoveryAction_t
    1: ("reset the GPU", _RESET_NOW),
    2: ("reboot the node", _REBOOT_NOW),
    3: ("drain its peers", "drain the GPU and every job that is linked to it, then ask again"),
    4: ("drain and reset", _RESET_NOW),
    6: ("reset its bus", "drain the node and reset the GPU's PCIe bus, or reboot"),
    7: ("reboot the system", _REBOOT_NOW),
}


def recovery(gpu: Gpu) -> Answer:
    """Fail: the driver asks for a reset, a reboot or a drain, also by a number yet unknown.

    An action for the IMEX domain is no fault of the GPU. Older drivers do not tell.
    """
    found = gpu.state.modes.recovery_action
    if found.value is None:
        # An older driver does not know the field; WSL answers no field of such a board.
        untold = gpu.consumer or found.error == "NVMLError_InvalidArgument"
        what = "recovery action"
        return not_applicable(f"no {what} told") if untold else absent(found, what, expected=False)
    if found.value in (0, _IMEX):
        return passed("recover the IMEX domain" if found.value else "none")
    unknown = (f"action {found.value}", "drain the GPU and see nvidia-smi -q, GPU Recovery Action")
    words, remedy = _RECOVERY.get(found.value, unknown)
    why = "the driver says what this GPU needs before it can be used"
    return failed(words, remedy.format(gpu.state.index), why=why)


def compute_mode(gpu: Gpu) -> Answer:
    """Fail: prohibited, or exclusive and held while nobody should be at work.

    Exclusive alone passes, and says what it means.
    """
    found = gpu.state.modes.compute_mode
    if found.value is None:
        return absent(found, "compute mode", expected=False)
    if found.value == "prohibited":
        remedy = f"nvidia-smi -i {gpu.state.index} -c DEFAULT"
        return failed("prohibited", remedy, why="CUDA runs nothing on this GPU")
    if found.value.startswith("exclusive"):
        holders = gpu.state.processes.compute.value
        if gpu.node.idle and holders:
            remedy = f"end what holds it, or nvidia-smi -i {gpu.state.index} -c DEFAULT"
            why = "CUDA gives this GPU to nobody else"
            return failed(f"{found.value}, and held: {_who(gpu)}", remedy, why=why)
        return passed(f"{found.value}: {EXCLUSIVE}")
    return passed(found.value)


def mig(gpu: Gpu) -> Answer:
    """Inconclusive: MIG mode without slices, where nothing runs, or a change not yet in force."""
    now, pending = gpu.state.mig.enabled, gpu.state.mig.pending
    if now.value is None:
        return absent(now, "MIG mode", expected=False)
    if pending.value is not None and pending.value != now.value:
        words = f"{'on' if now.value else 'off'}, and the other after the next reset"
        return inconclusive(words, f"reset the GPU: nvidia-smi -i {gpu.state.index} -r")
    if not now.value:
        return passed("off")
    slices = gpu.state.mig.devices
    if slices.value is None:
        return absent(slices, "MIG devices", expected=True)
    if not slices.value:
        remedy = "make slices (nvidia-smi mig -cgi … -C), or turn MIG off"
        return inconclusive("on, with no slice", remedy, why="nothing runs until there is one")
    return passed(f"on, {len(slices.value)} slice(s)", why="row remapping is not told of a parent")


def persistence(gpu: Gpu) -> Answer:
    """A note: passes either way."""
    found = gpu.state.modes.persistence
    if found.value is None:
        return absent(found, "persistence mode", expected=False)
    if found.value:
        return passed("on")
    why = "the driver lets go of a GPU that nobody uses: the next start takes longer"
    return passed(
        "off: systemctl enable --now nvidia-persistenced keeps the driver loaded", why=why
    )


def busy(gpu: Gpu) -> Answer:
    """With `--idle`: inconclusive where a process computes, or memory is taken.

    Without, not applicable: a node at work has both. A display server counts in neither.
    """
    running, memory = gpu.state.processes.compute, gpu.state.memory
    seen = _who(gpu)
    if not gpu.node.idle:
        return not_applicable(f"{seen} (judged with --idle)")
    if running.value is None:
        return absent(running, "processes", expected=True)
    if running.value:
        remedy = "end them if they are left over: fuser -v /dev/nvidia*"
        return inconclusive(seen, remedy, value=float(len(running.value)), unit="processes")
    return (
        _held(gpu, seen)
        if memory.used_bytes.known
        else absent(memory.used_bytes, "memory in use", expected=True)
    )


def _held(gpu: Gpu, seen: str) -> Answer:
    memory, bound = gpu.state.memory, gpu.bound("idle_memory_most")
    screens = sum(each.used_bytes.value or 0 for each in gpu.state.processes.graphics.value or ())
    reserved = memory.reserved_bytes.known
    taken = max(0, (memory.used_bytes.value or 0) - screens) / (memory.total_bytes.value or 1)
    more = {
        "value": round(100 * taken, 2),
        "unit": "%",
        "bound": f"at most {100 * bound.value:g} %",
        "source": bound.origin,
    }
    if taken <= bound.value or not reserved:
        return passed(seen, **more)
    words = f"{seen}, and {100 * taken:.0f} % of the memory taken"
    remedy = "find who holds it (fuser -v /dev/nvidia*), also in containers; else reset the GPU"
    return inconclusive(words, remedy, why="a job that starts now does not get it", **more)


def _who(gpu: Gpu) -> str:
    """The compute processes in words."""
    found = gpu.state.processes.compute
    if found.value is None:
        return f"compute processes not told ({found.error})"
    if not found.value:
        return "no compute process"
    shown = [
        f"pid {each.pid} ({short(each.name.value or 'no name', 40)}"
        + (f", {each.used_bytes.value / 1e9:.1f} GB)" if each.used_bytes.value else ")")
        for each in found.value[:_NAMED]
    ]
    more = f" and {len(found.value) - _NAMED} more" if len(found.value) > _NAMED else ""
    return f"{', '.join(shown)}{more}"
