"""What concerns the node as a whole: how fast the driver is, peers, InfiniBand ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from jaxpad.health._finding import (
    Answer,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
)
from jaxpad.health._links import active
from jaxpad.health._subject import Gpu, Node, short
from jaxpad.nvml import Port


def speed(node: Node) -> Answer:
    """Inconclusive: NVML took longer to answer than the bound, once started."""
    took, bound = node.facts.asked_s, node.bounds["nvml_seconds_most"]
    if took is None or node.snapshot.gpu_count.reason:
        return not_applicable("NVML did not start")
    shown = held(round(took, 3), "s", f"at most {bound.value:g} s", bound)
    if took > bound.value:
        remedy = "ask again; if it stays slow, see dmesg and what else asks the driver"
        return inconclusive(f"{took:.1f} s", remedy, **shown)
    return passed(f"{took:.2f} s", **shown)


def ports(node: Node) -> Answer:
    """Fail: an InfiniBand port with a link that is not active, or fewer active than expected.

    A port without a link is inconclusive: whether it has a cable, the machine cannot know.
    """
    found = node.snapshot.kernel.ports
    if found.value is None:
        return not_applicable(f"no InfiniBand ports to be seen ({found.error})")
    ports = [port for port in found.value if port.link_layer.value in ("InfiniBand", None)]
    bound = node.bounds["infiniband_ports_least"]
    up = [port for port in ports if port.state.value == "ACTIVE"]
    if not ports and not bound.value:
        return not_applicable("no InfiniBand port")
    shown = held(len(up), "ports", f"at least {bound.value:g}", bound)
    remedy = "check cable, switch port and subnet manager (ibstat, ibdiagnet)"
    stuck = [port for port in ports if port not in up and port.physical_state.value == "LinkUp"]
    if stuck or len(up) < bound.value:
        return failed(_ports(up, stuck or ports), remedy, **shown)
    down = [port for port in ports if port not in up and not _off(port)]
    if down and not bound.value:
        without = f"{remedy}, or set infiniband_ports_least to the number that have one"
        return inconclusive(_ports(up, down), without, why="no cable, or a bad one", **shown)
    return passed(f"{len(up)} active", **shown)


def _off(port: Port) -> bool:
    """Switched off by somebody."""
    return port.physical_state.value == "Disabled"


def _ports(up: list[Port], wrong: list[Port]) -> str:
    named = [
        f"{short(port.adapter)}/{port.port} {short(port.state.value or 'unknown')}"
        for port in wrong
        if port not in up
    ]
    return f"{len(up)} active; {', '.join(named[:8]) or 'no other'}"


_MEASURES: dict[str, Callable[[Gpu], float | None]] = {
    "GB of memory": lambda gpu: (gpu.state.memory.total_bytes.value or 0) / 1e9 or None,
    "PCIe lanes at most": lambda gpu: gpu.state.pcie.max_width.value,
    "NVLinks up": active,
}


def peers(gpu: Gpu) -> Answer:
    """Inconclusive: other memory, slot or NVLinks than most GPUs of the same model here."""
    same = [other for other in gpu.node.gpus if _model(other) == _model(gpu)]
    if len(same) < 2:
        return not_applicable("no other GPU of this model here")
    differs = []
    for words, measure in _MEASURES.items():
        own, usual = measure(gpu), _usual([measure(other) for other in same])
        if own is not None and usual is not None and _apart(gpu, words, own, usual):
            differs.append(f"{own:.4g} {words}, most have {usual:.4g}")
    if not differs:
        return passed("like its peers")
    remedy = (
        "compare both with nvidia-smi -q; move the GPU to another slot to see which is at fault"
    )
    return inconclusive("; ".join(differs), remedy, why="one GPU that differs slows all of them")


def _model(gpu: Gpu) -> str | None:
    return gpu.state.identity.pci_device_id.value or gpu.state.identity.name.value


def _usual(values: list[float | None]) -> float | None:
    """What most have; the larger of two that are as frequent."""
    known = Counter(value for value in values if value is not None)
    return max(known, key=lambda value: (known[value], value)) if known else None


def _apart(gpu: Gpu, words: str, own: float, usual: float) -> bool:
    spread = gpu.bound("peer_memory_spread_most").value if "memory" in words else 0.0
    return abs(own - usual) > spread * usual
