"""The network as sysfs shows it: ports of InfiniBand, RoCE and EFA adapters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jaxpad.health.model import (
    Answer,
    Node,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
    short,
)
from jaxpad.nvml import Port

CABLE = "check cable, switch port and subnet manager (ibstat, ibdiagnet)"
ETHERNET = "check cable and switch port (ethtool, rdma link), or switch the interface off (ip link)"
SLOW = "check the cable, the switch port's speed and mlxlink; ask again once the link has trained"


def ports(node: Node) -> Answer:
    """Fail: a port that should be active and is not, fewer than expected, or one slower than most.

    An InfiniBand port without a link is inconclusive: whether it has a cable, the machine
    cannot know. Links that went down before are told and fail nothing.
    """
    found = node.snapshot.kernel.ports
    if found.value is None:
        return not_applicable(f"no InfiniBand ports to be seen ({found.error})")
    bound = node.bounds["infiniband_ports_least"]
    if not found.value and not bound.value:
        return not_applicable("no InfiniBand port")
    return _wrong(node, found.value) or _well(found.value)


def _wrong(node: Node, every: Sequence[Port]) -> Answer | None:
    bound = node.bounds["infiniband_ports_least"]
    infiniband = [port for port in every if _infiniband(port)]
    up = [port for port in every if _active(port)]
    counted = sum(map(_active, infiniband))
    shown = held(counted, "ports", f"at least {bound.value:g}", bound)
    bad = [port for port in every if _stuck(port)]
    if bad or counted < bound.value:
        remedy = CABLE if not bad or any(map(_infiniband, bad)) else ETHERNET
        return failed(_ports(up, bad or infiniband), remedy, **shown)
    slow = _slow(up)
    if slow:
        return failed("; ".join(slow), SLOW, why="a collective is as fast as its slowest port")
    down = [port for port in infiniband if not _active(port) and not _off(port)]
    if down and not bound.value:
        without = f"{CABLE}, or set infiniband_ports_least to the number that have one"
        return inconclusive(_ports(up, down), without, why="no cable, or a bad one", **shown)
    return None


def _well(every: Sequence[Port]) -> Answer:
    up = [port for port in every if _active(port)]
    flaps = [
        f"{_name(port)} {port.link_downed.value} time(s)"
        for port in every
        if port.link_downed.value
    ]
    why = f"links that went down before: {', '.join(flaps[:8])}" if flaps else ""
    return passed(f"{len(up)} active", why=why, value=float(len(up)), unit="ports")


def _infiniband(port: Port) -> bool:
    return port.link_layer.value in ("InfiniBand", None)


def _active(port: Port) -> bool:
    return port.state.value == "ACTIVE"


def _off(port: Port) -> bool:
    """Switched off by somebody."""
    if _infiniband(port):
        return port.physical_state.value == "Disabled"
    return port.interface_up.value is False


def _stuck(port: Port) -> bool:
    """Not active though it has a link, or though its interface is not switched off.

    RoCE calls every port without a link Disabled, so that tells nothing of it.
    """
    if _active(port) or _off(port) or port.state.value is None:
        return False
    return not _infiniband(port) or port.physical_state.value == "LinkUp"


def _slow(up: Sequence[Port]) -> list[str]:
    """Active ports slower than more than half of those of the same adapter model."""
    found = []
    for port in up:
        rates = [each.gbit_per_s.value for each in up if _kind(each) == _kind(port)]
        usual, times = Counter(rates).most_common(1)[0]
        own = port.gbit_per_s.value
        if own is not None and usual is not None and own < usual and 2 * times > len(rates):
            found.append(f"{_name(port)} at {own:g} Gb/s, most at {usual:g}")
    return found


def _kind(port: Port) -> tuple[str | None, str | None]:
    return port.link_layer.value, port.model.value


def _name(port: Port) -> str:
    return f"{short(port.adapter)}/{port.port}"


def _ports(up: Sequence[Port], wrong: Sequence[Port]) -> str:
    named = [
        f"{_name(port)} {short(port.state.value or 'unknown')}" for port in wrong if port not in up
    ]
    return f"{len(up)} active; {', '.join(named[:8]) or 'no other'}"
