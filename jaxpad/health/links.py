"""Whether a GPU's PCIe link, NVLinks and fabric are as they should be, and like its peers'."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable

from jaxpad.health.model import (
    MODERN,
    TIMES,
    Answer,
    Gpu,
    Node,
    absent,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
)

SEAT = "drain the node, reseat the GPU and its riser or cable, and replace what stays narrow"
FABRIC = (
    "see nvidia-smi -q for the fabric's state; start nvidia-fabricmanager (and nvidia-imex), or "
    "reset the GPUs"
)
MANAGER = "systemctl start nvidia-fabricmanager, of the driver's own version"
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
    if gpu.integrated:
        return not_applicable("the GPU is in no slot: PCIe is how it shows itself to the system")
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
    if gpu.at_work and state.generation.value is None:
        found = absent(state.generation, "PCIe generation", expected=False)
        if found.remedy:
            return found
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


_COUNTERS = {
    "replay_errors": "replays",
    "recovery_errors": "recoveries",
    "crc_errors": "CRC errors",
    "symbol_errors": "symbol errors",
}


def link_errors(gpu: Gpu) -> Answer:
    """Inconclusive: a link with many more errors than most links here, or a failed recovery.

    The counters are since the driver was loaded; whether they grow is what `smoke` looks at.
    """
    links = gpu.state.nvlinks.value
    if not links:
        return not_applicable("no NVLinks told")
    if not any(value is not None for name in _COUNTERS for _, value in _counts(gpu, name)):
        return not_applicable("the NVLinks' errors are not told")
    failures = [
        f"link {link}: {value} failed recoveries"
        for link, value in _counts(gpu, "failed_recoveries")
        if value
    ]
    odd = [*failures, *(words for name in _COUNTERS for words in _unusual(gpu, name))]
    total = sum(value or 0 for name in _COUNTERS for _, value in _counts(gpu, name))
    more: dict[str, object] = {"value": float(total), "unit": "errors"}
    if not odd:
        return passed(f"{total} errors since the driver was loaded", **more)
    remedy = (
        "ask again under load; if it grows, reset all GPUs together, then have GPU, bridge, "
        "cable or switch serviced"
    )
    rest = f"; and {len(odd) - 3} more" if len(odd) > 3 else ""
    why = "such a link often goes down days later"
    return inconclusive("; ".join(odd[:3]) + rest, remedy, why=why, **more)


def _counts(gpu: Gpu, name: str) -> list[tuple[int, int | None]]:
    return [(link.link, getattr(link, name).value) for link in gpu.state.nvlinks.value or ()]


def _unusual(gpu: Gpu, name: str) -> list[str]:
    """Links of this GPU whose counter is far from that of most links of such GPUs here."""
    every = [value for peer in gpu.peers for _, value in _counts(peer, name) if value is not None]
    usual = statistics.median_low(every) if len(every) > 1 else 0
    most = max(gpu.bound("nvlink_errors_most").value, TIMES * usual)
    return [
        f"link {link}: {value} {_COUNTERS[name]}, most have {usual}"
        for link, value in _counts(gpu, name)
        if value is not None and value > most
    ]


_NO_WAY = {  # nvml.h, nvmlGpuP2PStatus_t
    1: "chipset not supported",
    2: "GPU not supported",
    3: "topology not supported",
    4: "disabled by a registry word of the driver",
    5: "not supported",
    6: "unknown",
}
_DISABLED = 4
_STARTING = ("not_started", "in_progress")


def peer_to_peer(gpu: Gpu) -> Answer:
    """Fail: its links are up, and NVLink does not reach another GPU that it should.

    Modules since Ampere whose number of links is known reach every other; on other boards,
    joined by bridges or in a mesh, it must be one at least, where all GPUs can be seen.
    """
    told = _ways(gpu)
    if not told:
        return not_applicable("no NVLink is up, or the driver does not tell which pairs it joins")
    closed = {index: code for index, code in told.items() if code}
    reached = len(told) - len(closed)
    if not closed:
        return passed(f"NVLink reaches all {reached} other GPUs")
    if not _joined_to_all(gpu) and (reached or _in_part(gpu.node)):
        words = "on this board not every pair is joined"
        return passed(f"NVLink reaches {reached} of {len(told)} other GPUs: {words}")
    named = ", ".join(
        f"GPU {index} ({_NO_WAY.get(code, f'status {code}')})" for index, code in closed.items()
    )
    seen = f"its links are up, and NVLink does not reach {named}"
    why = "collectives go through the host's memory instead"
    if gpu.node.facts.unmanaged or gpu.state.fabric.state.value in _STARTING:
        return inconclusive(seen, FABRIC, why="the fabric behind the links is not complete")
    if set(closed.values()) == {_DISABLED}:
        remedy = "remove the word from the nvidia module's NVreg_RegistryDwords, if it is not meant"
        return inconclusive(seen, remedy, why=why)
    return failed(seen, FABRIC, why=why)


def _ways(gpu: Gpu) -> dict[str, int]:
    """The status by the other GPU's index; a GPU that is cut into slices reaches nobody."""
    sliced = {str(other.state.index) for other in gpu.node.gpus if other.sliced}
    return {
        index: found.value
        for index, found in gpu.state.peer_links.items()
        if found.value is not None and not gpu.sliced and index not in sliced
    }


def _joined_to_all(gpu: Gpu) -> bool:
    links = gpu.model.nvlink.links if gpu.model and gpu.model.nvlink else None
    return bool(links and links.confirmed) and gpu.architecture in MODERN


def _in_part(node: Node) -> bool:
    """Whether some of the machine's GPUs are kept from us: a link may lead to one of those."""
    return bool(node.facts.container or node.snapshot.unlisted)


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
    if state.state.value in (None, "not_supported") and gpu.node.facts.unmanaged:
        seen = "NVSwitches are on the PCI bus, and nvidia-fabricmanager does not run"
        return inconclusive(seen, MANAGER, why="CUDA does not start without it")
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


# Whether a GPU is like its peers.

_MEASURES: dict[str, Callable[[Gpu], float | None]] = {
    "GB of memory": lambda gpu: (gpu.state.memory.total_bytes.value or 0) / 1e9 or None,
    "PCIe lanes at most": lambda gpu: gpu.state.pcie.max_width.value,
    "NVLinks up": active,
}


def peers(gpu: Gpu) -> Answer:
    """Inconclusive: other memory, slot or NVLinks than most GPUs of the same model here."""
    same = gpu.peers
    if len(same) < 2:
        return not_applicable("no other GPU of this model here")
    differs = []
    for words, measure in _MEASURES.items():
        own, usual = measure(gpu), _usual([measure(other) for other in same])
        if own is not None and usual is not None and _apart(gpu, words, own, usual):
            differs.append(f"{own:.4g} {words}, most have {usual:.4g}")
    if not differs and all(measure(gpu) is None for measure in _MEASURES.values()):
        return not_applicable("memory, lanes and links are not told")
    if not differs:
        return passed("like its peers")
    remedy = (
        "compare both with nvidia-smi -q; move the GPU to another slot to see which is at fault"
    )
    return inconclusive("; ".join(differs), remedy, why="one GPU that differs slows all of them")


def _usual(values: list[float | None]) -> float | None:
    """What most have; the larger of two that are as frequent."""
    known = Counter(value for value in values if value is not None)
    return max(known, key=lambda value: (known[value], value)) if known else None


def _apart(gpu: Gpu, words: str, own: float, usual: float) -> bool:
    spread = gpu.bound("peer_memory_spread_most").value if "memory" in words else 0.0
    return abs(own - usual) > spread * usual
