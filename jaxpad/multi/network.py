"""Whether the network that is there is used, and is as fast as it should be."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from jaxpad import nvml
from jaxpad.core.bounds import Bound
from jaxpad.core.results import Verdict
from jaxpad.multi.collectives import MIB, busbw, caller, mesh as mesh_of
from jaxpad.multi.context import World, exchange, nccl_log
from jaxpad.multi.record import Pair, Rate
from jaxpad.nvml import Port

# How NCCL moves data, from the log it writes with NCCL_DEBUG=INFO.
#
# No line of its is promised to stay. These are of NCCL 2.18 to 2.28:
# https://github.com/NVIDIA/nccl/tree/master/src/transport

MOST_BYTES = 8 << 20

# "Channel 00/0 : 3[3] -> 4[0] [send] via NET/IB/2/GDRDMA", "... via P2P/CUMEM/read"
_CHANNEL = re.compile(r"Channel \d+(?:/\d+)? ?: .* via (?P<way>[A-Za-z0-9_/() ]+?)(?: comm .*)?$")
_NETWORK = re.compile(r"Using network (?P<name>[^\r\n]+)")
_NVLS = re.compile(r"Connected NVLS tree|NVLS comm 0x|\d+ nvls channels", re.IGNORECASE)
_ZERO_NVLS = re.compile(r"\b0 nvls channels", re.IGNORECASE)
_WARNING = re.compile(r"NCCL WARN (?P<words>.+)")
_NO_IB = re.compile(r"NET/IB : No device found|NCCL_IB_DISABLE set by environment to 1")


@dataclass(frozen=True)
class Transport:
    """What a log says."""

    ways: tuple[str, ...] = ()  # used by channels: "NET/IB", "NET/Socket", "P2P", "SHM", "NVLS"
    network: str = ""  # that NCCL chose: "IB", "Socket", "AWS Libfabric"
    gpu_direct: bool = False  # the adapter reads the GPU's memory
    no_infiniband: str = ""  # NCCL's own words on why it is not used
    warnings: tuple[str, ...] = ()

    @property
    def sockets(self) -> bool:
        """Data between nodes go through TCP."""
        return "NET/Socket" in self.ways or (self.network == "Socket" and not self._other_net)

    @property
    def _other_net(self) -> bool:
        return any(way.startswith("NET/") for way in self.ways)

    @property
    def words(self) -> str:
        """The ways in one line."""
        named = ", ".join(self.ways) or (f"network {self.network}" if self.network else "none seen")
        return named + (", GPUDirect RDMA" if self.gpu_direct else "")


def parse(log: str) -> Transport:
    """What the log of one process says."""
    ways = [found["way"].strip() for line in log.splitlines() if (found := _CHANNEL.search(line))]
    network = _NETWORK.search(log)
    kinds = {_kind(way) for way in ways}
    if _NVLS.search(log) and not _ZERO_NVLS.search(log):
        kinds.add("NVLS")
    refused = _NO_IB.search(log)
    return Transport(
        ways=tuple(sorted(kinds)),
        network=network["name"].strip() if network else "",
        gpu_direct=any("GDRDMA" in way for way in ways),
        no_infiniband=refused[0] if refused else "",
        warnings=tuple(dict.fromkeys(found["words"] for found in _WARNING.finditer(log)))[:5],
    )


def _kind(way: str) -> str:
    """NET/IB/0/GDRDMA is NET/IB, P2P/CUMEM/read is P2P, NET/AWS Libfabric/1 keeps its name."""
    parts = way.split("/")
    return "/".join(parts[:2]) if parts[0] == "NET" else parts[0]


_LARGE = 64 << 20  # bytes from which a message is bound by the ports

_REMEDY = (
    "unset NCCL_IB_DISABLE and NCCL_NET; in a container pass /dev/infiniband and install "
    "libibverbs (rdma-core)"
)

_DIRECT = (
    "load nvidia-peermem, or use a kernel with DMA-BUF and NVIDIA's open kernel modules; unset "
    "NCCL_NET_GDR_LEVEL"
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
        cause = (f" ({seen.no_infiniband})" if seen.no_infiniband else "") + _said(seen)
        return (
            Verdict.FAIL,
            f"NCCL moves data through TCP sockets{cause} while InfiniBand is active: {names}",
            _REMEDY,
        )
    if not seen.ways and not seen.network:
        if nodes == 1:
            return Verdict.NOT_APPLICABLE, "NCCL has written of no channel, on one node", ""
        why = f"NCCL's log names no transport{_said(seen)}"
        return Verdict.INCONCLUSIVE, why, "see nccl-<rank>.log in the folder of --out"
    if "NET/IB" in seen.ways and not seen.gpu_direct:
        why = f"NCCL moves data through {seen.words} without GPUDirect RDMA{_said(seen)}"
        return Verdict.INCONCLUSIVE, why, _DIRECT
    return Verdict.PASS, seen.words + _said(seen), ""


def _said(seen: Transport) -> str:
    """NCCL's own warnings."""
    return f" (NCCL warns: {'; '.join(seen.warnings)})" if seen.warnings else ""


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


# Every pair of nodes by itself, to tell a bad node from a bad link.

MOST_ROUNDS = 32  # a round takes seconds: more partners would not tell more about a node
_CALLS = 10


def rounds(nodes: Sequence[str], most: int = MOST_ROUNDS) -> list[list[tuple[str, str]]]:
    """A tournament: in each round every node meets another, and no pair meets twice.

    The circle method: the first stays, the others turn. With an odd number one sits out.
    """
    seats: list[str | None] = [*nodes, *([None] if len(nodes) % 2 else [])]
    found = []
    for _ in range(min(len(seats) - 1, most)):
        half = len(seats) // 2
        both = zip(seats[:half], reversed(seats[half:]), strict=True)
        found.append([(a, b) for a, b in both if a is not None and b is not None])
        seats[1:] = [seats[-1], *seats[1:-1]]
    return found


def pairs(world: World, mesh: Mesh) -> None:
    """Measure them, tell the rates, and judge them."""
    nodes = list(dict.fromkeys(world.nodes.values()))
    if len(nodes) < 2:
        world.tell.check("pairs", Verdict.NOT_APPLICABLE, "all processes are on one node")
        return
    mine = world.tell.record.node
    own = {}
    for turn, meetings in enumerate(rounds(nodes)):
        both = next((pair for pair in meetings if mine in pair), None)
        words = " with ".join(both) if both else f"round {turn}: no partner"
        world.tell.step("pairs", words, together=True)
        if both:
            own["|".join(both)] = _measured(world, mesh, both)
        exchange("")  # so that rounds do not overlap
    world.tell.step("pairs", "compare the rates", together=True)
    found = _least([json.loads(text) for text in exchange(json.dumps(own))])
    size = _size(world)
    told = tuple(Pair(tuple(name.split("|")), size, rate) for name, rate in found.items())
    world.tell.tell(pairs=tuple(pair for pair in told if mine in pair.nodes))
    _judge(world, told)


def _size(world: World) -> int:
    return 64 * MIB if world.gpu else MIB


def _measured(world: World, mesh: Mesh, both: Sequence[str]) -> float:
    """GB/s on the bus of an all_reduce over the devices of two nodes.

    By the median time of a call with what comes before it, waiting for a late peer included:
    a slow host counts too.
    """
    nodes = world.nodes
    devices = [one for one in mesh.devices.flat if nodes[one.process_index] in both]
    size = _size(world)
    call = caller(mesh_of(devices), "all_reduce", size)
    jax.block_until_ready([call() for _ in range(2)][-1])
    seconds = statistics.median(_timed(world, call) for _ in range(_CALLS))
    return busbw("all_reduce", size, len(devices), seconds)


def _timed(world: World, call: Callable[[], Any]) -> float:
    before = time.perf_counter()
    world.job.disturb.call()
    jax.block_until_ready(call())
    return time.perf_counter() - before


def _least(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each pair the rate of the process that saw the least."""
    found: dict[str, float] = {}
    for rates in told:
        for name, rate in rates.items():
            found[name] = min(rate, found.get(name, rate))
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class Slow:
    """What slow pairs come to: nodes of which every pair is slow, and pairs of no such node."""

    usual: float  # GB/s
    nodes: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()


def slow(found: Sequence[Pair], least: float) -> Slow:
    """Pairs under `least` times the usual rate, laid to a node where all of its pairs are.

    The usual rate is the middle, over nodes, of each node's best: a bad node makes two of
    three pairs slow among three nodes, but spoils the best of no other.
    """
    best: dict[str, float] = {}
    for pair in found:
        for node in pair.nodes:
            best[node] = max(pair.gb_per_s, best.get(node, 0.0))
    usual = statistics.median_high(best.values()) if best else 0.0
    nodes = tuple(node for node, rate in sorted(best.items()) if rate < least * usual)
    lone = [p for p in found if p.gb_per_s < least * usual and not set(p.nodes) & set(nodes)]
    return Slow(usual, nodes, tuple(lone))


def bound_name(platform: str | None) -> str:
    """The bound for pairs on a platform."""
    return "pair_least" if platform == "gpu" else "pair_cpu_least"


def _judge(world: World, found: Sequence[Pair]) -> None:
    bound = world.job.bounds[bound_name(world.tell.record.platform)]
    if len(found) < 2:
        rate = f"{found[0].gb_per_s:.3g} GB/s; " if found else ""
        said = f"{rate}one pair has no peers: take three nodes or more"
        world.tell.check("pairs", Verdict.NOT_APPLICABLE, said)
        return
    bad = slow(found, bound.value)
    told = [f"every pair of {node} is slow" for node in bad.nodes]
    told += [f"{' with '.join(p.nodes)} reaches {p.gb_per_s:.3g} GB/s" for p in bad.pairs]
    if told:
        words = f"{'; '.join(told[:8])}; usual are {bad.usual:.3g} GB/s"
        named = set(bad.nodes) or {node for pair in bad.pairs for node in pair.nodes}
        odd = tuple(rank for rank, node in world.nodes.items() if node in named)
        remedy = "check the cables and ports there: ibstat"
        world.tell.check("pairs", Verdict.FAIL, words, remedy, odd=odd, sure=bool(bad.nodes))
        return
    said = f"{len(found)} pairs, all at least {bound.value:g} of {bad.usual:.3g} GB/s"
    world.tell.check("pairs", Verdict.PASS, said)
