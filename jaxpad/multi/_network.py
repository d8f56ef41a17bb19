"""Whether the network that is there is used, and is as fast as it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jaxpad import nvml
from jaxpad.bounds import Bound
from jaxpad.multi._join import nccl_log
from jaxpad.multi._record import Rate
from jaxpad.multi._transport import MOST_BYTES, Transport, parse
from jaxpad.multi._world import World
from jaxpad.nvml import Port
from jaxpad.verdict import Verdict

_LARGE = 64 << 20  # bytes from which a message is bound by the ports

_REMEDY = (
    "unset NCCL_IB_DISABLE and NCCL_NET; in a container pass /dev/infiniband and install "
    "libibverbs (rdma-core)"
)

Answer = tuple[Verdict, str, str]  # verdict, reason, remedy


def network(world: World, sysfs: Path = Path("/sys")) -> None:
    """Two checks: the transport that NCCL uses, and its rate."""
    nodes = len(set(world.nodes.values()))
    if not world.gpu:
        world.tell.check("transport", Verdict.NOT_APPLICABLE, "Gloo over TCP: no GPU, no NCCL")
        return
    ports = active(nvml.kernel(sysfs=sysfs).ports.value or ())
    seen = parse(_log(Path(nccl_log(world.job))))
    world.tell.tell(transport=seen.ways)
    world.tell.check("transport", *transport(seen, ports, nodes))
    on_node = Counter(peer.node for peer in world.peers for _ in range(peer.local_devices))
    bound = world.job.bounds["network_least"]
    rate = _best(world.tell.record.rates)
    world.tell.check("bandwidth", *bandwidth(rate, ports, min(on_node.values()), nodes, bound))


def _log(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return ""


def active(ports: Sequence[Port]) -> tuple[Port, ...]:
    """InfiniBand ports that carry data now."""
    return tuple(
        port
        for port in ports
        if port.state.value == "ACTIVE" and port.link_layer.value == "InfiniBand"
    )


def transport(seen: Transport, ports: Sequence[Port], nodes: int) -> Answer:
    """Sockets are a fail while an InfiniBand port is active."""
    if seen.sockets and ports and nodes > 1:
        names = ", ".join(f"{port.adapter} port {port.port}" for port in ports[:4])
        cause = f" ({seen.no_infiniband})" if seen.no_infiniband else ""
        return (
            Verdict.FAIL,
            f"NCCL moves data through TCP sockets{cause} while InfiniBand is active: {names}",
            _REMEDY,
        )
    if not seen.ways and not seen.network:
        if nodes == 1:
            return Verdict.NOT_APPLICABLE, "NCCL has written of no channel, on one node", ""
        why = "NCCL's log names no transport"
        return Verdict.INCONCLUSIVE, why, "see nccl-<rank>.log in the folder of --out"
    return Verdict.PASS, seen.words, ""


def bandwidth(
    rate: Rate | None, ports: Sequence[Port], gpus: int, nodes: int, bound: Bound
) -> Answer:
    """The all_reduce of the largest message beside the ports that `gpus` of a node can use."""
    speeds = sorted((port.gbit_per_s.value or 0.0 for port in ports), reverse=True)[:gpus]
    peak = sum(speeds) / 8
    if rate is None or nodes < 2 or not peak:
        return Verdict.NOT_APPLICABLE, "no bound is known: one node, or no InfiniBand port", ""
    least = bound.value * peak
    said = (
        f"all_reduce of {rate.bytes >> 20} MiB at {rate.gb_per_s:.3g} GB/s, at least {least:.3g} "
        f"({bound.value:g} of {len(speeds)} InfiniBand ports' {peak:.3g}; {bound.origin})"
    )
    if rate.gb_per_s >= least:
        return Verdict.PASS, said, ""
    return Verdict.FAIL, said, "run again with --pairwise: it finds the bad node or link"


def _best(rates: Sequence[Rate]) -> Rate | None:
    large = [rate for rate in rates if rate.kind == "all_reduce" and rate.bytes >= _LARGE]
    return max(large, key=lambda rate: rate.gb_per_s, default=None)
