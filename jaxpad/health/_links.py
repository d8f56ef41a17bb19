"""Whether a GPU's PCIe link, NVLinks and fabric are as they should be."""

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

SEAT = "drain the node, reseat the GPU and its riser or cable, and replace what stays narrow"
FABRIC = (
    "see nvidia-smi -q for the fabric's state; start nvidia-fabricmanager (and nvidia-imex), or "
    "reset the GPUs"
)
_DEGRADED, _TRUE = 0b11, 1  # nvml.h, NVML_GPU_FABRIC_HEALTH_MASK_DEGRADED_BW


def pcie(gpu: Gpu) -> Answer:
    """Fail: a GPU at work has fewer lanes than GPU and slot have together.

    "The current link generation and width. These may be reduced when the GPU is not in use"
    (https://docs.nvidia.com/deploy/nvidia-smi/): at rest a narrow link is inconclusive, and
    the generation is not judged. A slot narrower than the GPU is inconclusive, too.
    """
    state, bound = gpu.state.pcie, gpu.bound("pcie_width_least")
    width = gpu.model.pcie.width if gpu.model else None
    for found in (state.width, state.max_width):
        if found.value is None:
            should = bool(width and width.confirmed)
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
    return passed(f"x{now}, generation {state.generation.value or 'unknown'}", **shown)


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
    alone = len(gpu.node.snapshot.gpus) == 1
    if found.value is None:
        return absent(found, "NVLinks", expected=has and not alone)
    down = [str(link.link) for link in found.value if link.active.value is False]
    up = active(gpu) or 0
    if alone and not up:
        return not_applicable("none is up: there is no second GPU to link to")
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
    """Fail: the NVSwitch fabric did not start, ended in an error, or runs at less bandwidth.

    CUDA does not start before it is complete. In progress is inconclusive.
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
    if (state.health_mask.value or 0) & _DEGRADED == _TRUE:
        return failed("completed, with less bandwidth", FABRIC, why="a link or switch is down")
    return passed("completed")
