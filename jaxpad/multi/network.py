"""Whether the network that is there is used, and is as fast as it should be."""

from __future__ import annotations

import json
import math
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
from jaxpad.nvml import Port, Snapshot

# How NCCL moves data, from the log it writes with NCCL_DEBUG=INFO.
#
# No line of its is promised to stay. These are of NCCL 2.18 to 2.28:
# https://github.com/NVIDIA/nccl/tree/master/src/transport

MOST_BYTES = 8 << 20

# "Channel 00/0 : 3[3] -> 4[0] [send] via NET/IB/2/GDRDMA", "... via P2P/CUMEM/read"
_CHANNEL = re.compile(r"Channel \d+(?:/\d+)? ?: .* via (?P<way>[\w/() .:-]+?)(?: comm .*)?$")
_NETWORK = re.compile(r"Using network (?P<name>[^\r\n]+)")
_NVLS = re.compile(r"Connected NVLS tree|NVLS comm 0x", re.IGNORECASE)
_NVLS_CHANNELS = re.compile(r"\b(\d+) nvls channels", re.IGNORECASE)
_MNNVL = re.compile(r"\bMNNVL ([01])\b")  # of each communicator
_SET = re.compile(r"\b(?P<name>NCCL_[A-Z0-9_]+) set by environment to (?P<value>[^\s.]+)")
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
    nvls: bool | None = None  # NVLink SHARP; None: the log does not say
    mnnvl: bool | None = None  # NVLink between nodes
    settings: tuple[tuple[str, str], ...] = ()  # NCCL_* that the caller has set

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
    channels = [int(count) for count in _NVLS_CHANNELS.findall(log)]
    domains = [one == "1" for one in _MNNVL.findall(log)]
    nvls = any(channels) if channels else bool(_NVLS.search(log)) or None
    kinds |= {"NVLS"} if nvls else set()
    refused = _NO_IB.search(log)
    return Transport(
        ways=tuple(sorted(kinds)),
        network=network["name"].strip() if network else "",
        gpu_direct=any("GDRDMA" in way for way in ways),
        no_infiniband=refused[0] if refused else "",
        warnings=tuple(dict.fromkeys(found["words"] for found in _WARNING.finditer(log)))[:5],
        nvls=nvls,
        mnnvl=any(domains) if domains else None,
        settings=tuple(dict.fromkeys(_SET.findall(log))),
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
_ELASTIC = "install aws-ofi-nccl where NCCL finds it (LD_LIBRARY_PATH), with libfabric of EFA"
_DIRECT = (
    "load nvidia-peermem, or use a kernel with DMA-BUF and NVIDIA's open kernel modules; unset "
    "NCCL_NET_GDR_LEVEL"
)
_SHARED = (
    "unset NCCL_P2P_DISABLE and NCCL_P2P_LEVEL; switch ACS and the IOMMU off, and give one "
    "container all GPUs of the node"
)
_ONE_NODE = (
    "unset NCCL_HOSTID, NCCL_SHM_DISABLE and NCCL_P2P_DISABLE; give all processes of a node one "
    "hostname and one /dev/shm"
)
_DOMAIN = (
    "start nvidia-imex on all nodes of the NVLink domain, give the container its channel "
    "(/dev/nvidia-caps-imex-channels), and unset NCCL_MNNVL_ENABLE; nodes of two domains have none"
)
_MULTICAST = (
    "unset NCCL_NVLS_ENABLE and NCCL_ALGO; see with jaxpad health that the fabric is complete on "
    "every GPU"
)
_LOG_REMEDY = "see nccl-<rank>.log in the folder of --out"

Answer = tuple[Verdict, str, str]  # verdict, reason, remedy


def network(world: World, sysfs: Path = Path("/sys")) -> None:
    """Two checks: the transport that NCCL uses, and its rate."""
    nodes = len(set(world.nodes.values()))
    if not world.gpu:
        world.tell.check("transport", Verdict.NOT_APPLICABLE, "Gloo over TCP: no GPU, no NCCL")
        return
    every = nvml.kernel(sysfs=sysfs).ports.value or ()
    ports = active(every)
    seen = parse(_log(Path(nccl_log(world.job))))
    world.tell.tell(transport=seen.ways)
    on_node = Counter(peer.node for peer in world.peers for _ in range(peer.local_devices))
    own = wiring(nvml.ask(environ=world.job.environ), on_node[world.tell.record.node])
    world.tell.check("transport", *transport(seen, every, nodes, own))
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
    return _up(ports, "InfiniBand")


def _up(ports: Sequence[Port], layer: str) -> tuple[Port, ...]:
    """Active ports of a link layer; an Ethernet port's interface must not be switched off."""
    return tuple(
        port
        for port in ports
        if port.state.value == "ACTIVE"
        and port.link_layer.value == layer
        and port.interface_up.value is not False
    )


@dataclass(frozen=True)
class Wiring:
    """What the GPUs of the job have between them on this node; by default nothing is known."""

    gpus: int = 0
    models: tuple[str, ...] = ()
    linked: bool = False  # an NVLink is up
    switched: bool = False  # an NVSwitch fabric is complete


def wiring(snapshot: Snapshot, gpus: int) -> Wiring:
    """By NVML, for a job with `gpus` devices on this node."""
    links = [link for gpu in snapshot.gpus for link in gpu.nvlinks.value or ()]
    fabrics = {gpu.fabric.state.value for gpu in snapshot.gpus}
    return Wiring(
        gpus,
        tuple(sorted({gpu.identity.name.value or "" for gpu in snapshot.gpus})),
        any(link.active.value for link in links),
        fabrics == {"completed"},
    )


@dataclass(frozen=True)
class _Case:
    """What NCCL did, and what it had to do it with."""

    seen: Transport
    ports: Sequence[Port]
    nodes: int
    own: Wiring

    def answer(self, verdict: Verdict, why: str, remedy: str) -> Answer:
        """With NCCL's own warnings, and what the caller has set."""
        told = "".join(f", {name}={value}" for name, value in self.seen.settings if name in remedy)
        return verdict, why + told + _said(self.seen), remedy


def transport(
    seen: Transport, ports: Sequence[Port], nodes: int, own: Wiring | None = None
) -> Answer:
    """Whether NCCL used what the node has.

    Fail: TCP sockets beside InfiniBand or EFA. Inconclusive, as there may be a reason: sockets
    beside RoCE, the host's memory beside NVLink, no GPUDirect RDMA, no NVLink between nodes
    that are made for it, no NVLS beside NVSwitch, a warning of NCCL's.
    """
    case = _Case(seen, ports, nodes, own or Wiring())
    judges = (_sockets, _nothing, _host_memory, _indirect, _apart, _no_multicast, _warned)
    found = (judge(case) for judge in judges)
    return next(filter(None, found), (Verdict.PASS, seen.words + _said(seen), ""))


def _sockets(case: _Case) -> Answer | None:
    """TCP between nodes; or any network within one."""
    seen = case.seen
    if case.nodes == 1 and any(way.startswith("NET/") for way in seen.ways):
        why = f"NCCL moves data through {seen.words} on one node"
        return case.answer(Verdict.INCONCLUSIVE, why, _ONE_NODE)
    if not seen.sockets or case.nodes == 1:
        return None
    cause = f" ({seen.no_infiniband})" if seen.no_infiniband else ""
    for layer, (name, verdict, remedy) in _BESIDE.items():
        if found := _up(case.ports, layer):
            named = ", ".join(f"{port.adapter} port {port.port}" for port in found[:4])
            why = f"NCCL moves data through TCP sockets{cause} while {name} is active: {named}"
            return case.answer(verdict, why, remedy)
    return None


_BESIDE = {
    "InfiniBand": ("InfiniBand", Verdict.FAIL, _REMEDY),
    "Unspecified": ("EFA", Verdict.FAIL, _ELASTIC),
    "Ethernet": ("RoCE", Verdict.INCONCLUSIVE, f"{_REMEDY}; name the ports in NCCL_IB_HCA"),
}


def _nothing(case: _Case) -> Answer | None:
    """A log without a transport is no evidence, where NCCL had something to move."""
    if case.seen.ways or case.seen.network:
        return None
    if case.nodes == 1 and case.own.gpus < 2:
        return Verdict.NOT_APPLICABLE, "NCCL has written of no channel, on one node", ""
    return case.answer(Verdict.INCONCLUSIVE, "NCCL's log names no transport", _LOG_REMEDY)


def _host_memory(case: _Case) -> Answer | None:
    """SHM is for GPUs that cannot reach each other: under NVSwitch all can, by NVLink some."""
    seen, own = case.seen, case.own
    if "SHM" not in seen.ways or not (own.linked or own.switched):
        return None
    if {"P2P", "NVLS"} & set(seen.ways) and not own.switched:
        return None
    why = f"NCCL moves data through the host's memory ({seen.words}) while NVLink is up"
    return case.answer(Verdict.INCONCLUSIVE, why, _SHARED)


def _indirect(case: _Case) -> Answer | None:
    """GeForce boards have no GPUDirect RDMA, and TCP has none."""
    seen = case.seen
    nets = [way for way in seen.ways if way.startswith("NET/") and way != "NET/Socket"]
    if not nets or seen.gpu_direct or any("GeForce" in name for name in case.own.models):
        return None
    why = f"NCCL moves data through {seen.words} without GPUDirect RDMA"
    return case.answer(Verdict.INCONCLUSIVE, why, _DIRECT)


def _apart(case: _Case) -> Answer | None:
    """GB200 and GB300 racks have NVLink between nodes."""
    rack = any("GB200" in name or "GB300" in name for name in case.own.models)
    if not rack or case.nodes == 1 or case.seen.mnnvl:
        return None
    said = "MNNVL 0" if case.seen.mnnvl is False else "its log does not say MNNVL 1"
    why = f"NCCL uses no NVLink between these {', '.join(case.own.models)} nodes ({said})"
    return case.answer(Verdict.INCONCLUSIVE, why, _DOMAIN)


def _no_multicast(case: _Case) -> Answer | None:
    """NVLink SHARP is in the NVSwitches of Hopper and newer; NCCL uses it for many GPUs."""
    if case.seen.nvls is not False or not case.own.switched or case.own.gpus < _NVLS_LEAST:
        return None
    why = f"NCCL does not use NVLS beside a complete NVSwitch fabric ({case.seen.words})"
    return case.answer(Verdict.INCONCLUSIVE, why, _MULTICAST)


_NVLS_LEAST = 4  # GPUs of a node
_RETRIED = re.compile(r"socketStartConnect|retr", re.IGNORECASE)  # and then it went on


def _warned(case: _Case) -> Answer | None:
    bad = [words for words in case.seen.warnings if not _RETRIED.search(words)]
    if not bad:
        return None
    return case.answer(Verdict.INCONCLUSIVE, f"{case.seen.words}, and not without trouble", _LOG)


_LOG = f"{_LOG_REMEDY}, and look NCCL's words up in its troubleshooting guide"


def _said(seen: Transport) -> str:
    """NCCL's own warnings."""
    return f" (NCCL warns: {'; '.join(seen.warnings)})" if seen.warnings else ""


def bandwidth(
    rate: Rate | None, ports: Sequence[Port], gpus: int, nodes: int, bound: Bound
) -> Answer:
    """The all_reduce of the largest message beside the ports that `gpus` of a node can use."""
    speeds = sorted((port.gbit_per_s.value or 0.0 for port in ports), reverse=True)[:gpus]
    peak = sum(speeds) / 8
    if nodes < 2 or not peak:
        return Verdict.NOT_APPLICABLE, "no bound is known: one node, or no InfiniBand port", ""
    if rate is None or not math.isfinite(rate.gb_per_s):
        why = f"no all_reduce of {_LARGE >> 20} MiB or more was timed"
        return Verdict.INCONCLUSIVE, why, "run again, with more of the GPUs' memory free"
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
        rate = pair.gb_per_s if math.isfinite(pair.gb_per_s) else 0.0
        for node in pair.nodes:
            best[node] = max(rate, best.get(node, 0.0))
    usual = statistics.median_high(best.values()) if best else 0.0
    nodes = tuple(node for node, rate in sorted(best.items()) if rate < least * usual)
    lone = [p for p in found if not p.gb_per_s >= least * usual and not set(p.nodes) & set(nodes)]
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
