"""The parts that need no process: clocks, pairs, NCCL's log, InfiniBand, bandwidth."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

import nvml_double
from jaxpad import multi
from jaxpad.commands.machine import MultiOptions
from jaxpad.commands.options import read
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import UsageError, Verdict
from jaxpad.multi import collectives, comparison
from jaxpad.multi.comparison import span
from jaxpad.multi.context import fatal, of_a_peer, of_code
from jaxpad.multi.network import (
    Transport,
    Wiring,
    active,
    bandwidth,
    parse,
    rounds,
    slow,
    transport,
    wiring,
)
from jaxpad.multi.record import Pair, Rate
from jaxpad.nvml import Port

BOUNDS = bounds.load()
NODES = {rank: f"n{rank // 2}" for rank in range(6)}


def test_options_refused() -> None:
    for bad in ({"limit": "-1"}, {"limit": "nan"}, {"join": "x"}, {"expect_devices": "0"}):
        with pytest.raises(UsageError):
            read(MultiOptions, bad)


def test_span_of_clocks() -> None:
    """A clock 5 s ahead; the second round is tighter than the first."""
    first = [(0.0, 0.3), (1.0, 1.01)]
    other = [(5.1, 5.4), (6.002, 6.012)]
    least, most = span(first, other)
    assert least == pytest.approx(4.992)
    assert most == pytest.approx(5.012)
    assert span(first, first) == (0.0, 0.0)


def test_clock_of_one_node() -> None:
    spans = {rank: (2.0, 2.01) if rank > 3 else (0.0, 0.001) for rank in NODES}
    odd = comparison.outliers_by_clock(spans, NODES, 0.05)
    assert odd is not None
    assert (odd.ranks, odd.sure) == ((4, 5), True)
    two = comparison.outliers_by_clock({0: (0.0, 0.0), 2: (3.0, 3.1)}, NODES, 0.05)
    assert two is not None
    assert not two.sure  # which of two is wrong cannot be seen
    assert comparison.outliers_by_clock({0: (0.0, 0.0), 2: (-0.02, 0.02)}, NODES, 0.05) is None


def test_odd_values() -> None:
    assert comparison.outliers_by_value("x", dict.fromkeys(range(6), "a"), NODES) is None
    odd = comparison.outliers_by_value(
        "jax", {rank: "b" if rank == 5 else "a" for rank in range(6)}, NODES
    )
    assert odd == comparison.Odd((5,), "jax: b on n2 (rank 5); a on the others")
    flags = comparison.outlier_flags({0: "--a=1 --b=2", 1: "--a=1", 2: "--a=1"}, NODES)
    assert flags == comparison.Odd((0,), "XLA_FLAGS: --b=2 on n0 (rank 0); none on the others")
    order = comparison.outlier_flags({0: "--a=1 --b=2", 1: "--b=2 --a=1", 2: "--b=2 --a=1"}, NODES)
    assert order is not None
    assert order.ranks == (0,)


@pytest.mark.parametrize("count", [2, 3, 4, 7, 8, 33])
def test_every_pair_meets_once(count: int) -> None:
    nodes = [f"n{at}" for at in range(count)]
    schedule = rounds(nodes, most=count)
    assert len(schedule) == count - 1 + count % 2
    met = [frozenset(pair) for meetings in schedule for pair in meetings]
    assert sorted(map(sorted, met)) == sorted(map(list, map(sorted, combinations(nodes, 2))))
    for meetings in schedule:
        seated = [node for pair in meetings for node in pair]
        assert len(seated) == len(set(seated))


def measured(count: int, bad: set[str], link: set[str]) -> list[Pair]:
    """40 GB/s, but 4 with a bad node and on a bad link."""
    nodes = [f"n{at}" for at in range(count)]
    return [
        Pair(pair, 1, 4.0 if set(pair) & bad or set(pair) == link else 40.0)
        for pair in combinations(nodes, 2)
    ]


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_slow_node_is_told_from_a_slow_link(count: int) -> None:
    node = slow(measured(count, {"n1"}, set()), 0.7)
    assert (node.nodes, node.pairs, node.usual) == (("n1",), (), 40.0)
    link = slow(measured(count, set(), {"n0", "n2"}), 0.7)
    assert link.nodes == ()
    assert [pair.nodes for pair in link.pairs] == [("n0", "n2")]
    assert slow(measured(count, set(), set()), 0.7).nodes == ()


def test_expected_results_of_collectives() -> None:
    """By arithmetic of numpy's own."""
    count, turn = 3, 1
    for kind in collectives.KINDS:
        width = collectives.group_width(kind, count)
        x = np.stack([collectives.row(one, width, turn) for one in range(count)])
        parts = np.array_split(x, count, axis=1)
        whole = {
            "all_reduce": [x.sum(axis=0)] * count,
            "all_gather": [x.reshape(-1)] * count,
            "permute": list(np.roll(x, 1, axis=0)),
            "all_to_all": [part.reshape(-1) for part in parts],
            "reduce_scatter": [part.sum(axis=0) for part in parts],
        }[kind]
        for device in range(count):
            got = collectives.expected_result(kind, device, count, turn)
            np.testing.assert_array_equal(got, whole[device])


def test_bus_factors() -> None:
    assert collectives.bus_factor("all_reduce", 8) == 1.75
    assert collectives.bus_factor("all_gather", 8) == 0.875
    assert collectives.bus_factor("permute", 8) == 1.0


# No NCCL has run here: lines as its sources and published logs have them.
INFINIBAND = """\
n0:1:1 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_1:1/IB [RO]; OOB eth0:10.0.0.1<0>
n0:1:1 [0] NCCL INFO Using network IB
n0:1:9 [0] NCCL INFO Channel 00/0 : 1[1] -> 2[0] [send] via NET/IB/0/GDRDMA
n0:1:9 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/CUMEM/read
n0:1:9 [0] NCCL INFO 16 coll channels, 16 collnet channels, 16 nvls channels, 16 p2p channels
"""
SOCKETS = """\
n0:1:1 [0] NCCL INFO NET/IB : No device found.
n0:1:1 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.0.1<0>
n0:1:1 [0] NCCL INFO Using network Socket
n0:1:9 [0] NCCL INFO Channel 00/0 : 1[0] -> 0[0] [receive] via NET/Socket/0
n0:1:9 [0] NCCL INFO 2 coll channels, 0 collnet channels, 0 nvls channels, 2 p2p channels
n0:1:9 [0] misc/socket.cc:49 NCCL WARN socketStartConnect: Connect to 10.0.0.2<4> failed
"""
NO_PEER = (
    "n0:1:9 [0] NCCL INFO Channel 00 : 0[1000] -> 1[2000] via SHM/direct/direct comm 0x5 nRanks 2"
)
EFA = """\
n0:1:1 [0] NCCL INFO Using network AWS Libfabric
n0:1:9 [0] NCCL INFO Channel 00/0 : 1[1] -> 2[0] [send] via NET/AWS Libfabric/1/GDRDMA
"""


def test_log_of_nccl() -> None:
    seen = parse(INFINIBAND)
    assert (seen.ways, seen.network) == (("NET/IB", "NVLS", "P2P"), "IB")
    assert (seen.gpu_direct, seen.sockets) == (True, False)
    assert seen.words == "NET/IB, NVLS, P2P, GPUDirect RDMA"
    other = parse(SOCKETS)
    assert (other.ways, other.sockets) == (("NET/Socket",), True)
    assert other.no_infiniband == "NET/IB : No device found"
    assert len(other.warnings) == 1
    assert parse(NO_PEER).ways == ("SHM",)
    assert parse(EFA).ways == ("NET/AWS Libfabric",)
    assert not parse(EFA).sockets
    assert parse("") == Transport()


def port(state: str = "ACTIVE", layer: str = "InfiniBand", rate: float = 400.0) -> Port:
    def known(value: str) -> Reading[str]:
        return Reading(value, None)

    return Port("mlx5_0", 1, known(state), known("LinkUp"), Reading(rate, None), known(layer))


def test_sockets_beside_infiniband_fail() -> None:
    assert active([port(), port(state="DOWN"), port(layer="Ethernet")]) == (port(),)
    verdict, why, remedy = transport(parse(SOCKETS), [port()], nodes=2)
    assert verdict is Verdict.FAIL
    assert "mlx5_0 port 1" in why
    assert remedy
    assert transport(parse(SOCKETS), [], nodes=2)[0] is Verdict.PASS
    assert transport(parse(INFINIBAND), [port()], nodes=2)[0] is Verdict.PASS
    assert "socketStartConnect" in why  # NCCL's own warning
    staged = transport(parse(INFINIBAND.replace("/GDRDMA", "")), [port()], nodes=2)
    assert staged[0] is Verdict.INCONCLUSIVE
    assert "without GPUDirect RDMA" in staged[1]
    assert "nvidia-peermem" in staged[2]
    assert transport(parse(""), [port()], nodes=2)[0] is Verdict.INCONCLUSIVE
    assert transport(parse(""), [port()], nodes=1)[0] is Verdict.NOT_APPLICABLE


H100 = Wiring(8, ("NVIDIA H100 80GB HBM3",), linked=True, switched=True)
PAIR = Wiring(2, ("NVIDIA A40",), linked=True)
LONE = Wiring(2, ("NVIDIA L4",))
GEFORCE = Wiring(2, ("NVIDIA GeForce RTX 4090",))
GB200 = Wiring(4, ("NVIDIA GB200",), linked=True, switched=True)
STAGED = INFINIBAND.replace("/GDRDMA", "")
P2P = "n0:1:9 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read\n"
NO_NVLS = INFINIBAND.replace("16 nvls", "0 nvls")
RACK = INFINIBAND + (
    "n0:1:9 [0] NCCL INFO comm 0x5 rank 0 nRanks 8 nNodes 2 localRanks 4 localRank 0 MNNVL 0\n"
)
SWITCHED_OFF = "n0:1:1 [0] NCCL INFO NCCL_P2P_DISABLE set by environment to 1.\n"
WARNED = "n0:1:9 [0] transport/net_ib.cc:9 NCCL WARN NET/IB : Got completion with error 12\n"
OPEN, FAIL, PASS = Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS
ROCE, EFA_PORT = port(layer="Ethernet"), port(layer="Unspecified")
CARD = replace(ROCE, interface_up=Reading(False, None))


@pytest.mark.parametrize(
    ("log", "ports", "nodes", "own", "verdict", "words"),
    [
        (SOCKETS, [ROCE], 2, LONE, OPEN, "while RoCE is active: mlx5_0 port 1"),
        (SOCKETS, [CARD], 2, LONE, PASS, "NET/Socket"),
        (SOCKETS, [port(state="DOWN", layer="Ethernet")], 2, LONE, PASS, "NET/Socket"),
        (SOCKETS, [EFA_PORT], 2, H100, FAIL, "while EFA is active"),
        (SOCKETS, [ROCE, port()], 2, H100, FAIL, "while InfiniBand is active"),
        (SOCKETS, [], 1, LONE, OPEN, "on one node"),
        (STAGED, [ROCE], 2, H100, OPEN, "without GPUDirect RDMA"),
        (EFA.replace("/GDRDMA", ""), [EFA_PORT], 2, H100, OPEN, "without GPUDirect RDMA"),
        (STAGED, [port()], 2, GEFORCE, PASS, "NET/IB"),
        (NO_PEER, [], 1, H100, OPEN, "the host's memory (SHM) while NVLink is up"),
        (NO_PEER, [], 1, PAIR, OPEN, "the host's memory"),
        (NO_PEER + "\n" + P2P, [], 1, PAIR, PASS, "P2P, SHM"),
        (NO_PEER + "\n" + P2P, [], 1, H100, OPEN, "the host's memory"),
        (NO_PEER, [], 1, LONE, PASS, "SHM"),
        (NO_PEER + "\n" + SWITCHED_OFF, [], 1, PAIR, OPEN, "NCCL_P2P_DISABLE=1"),
        (RACK, [port()], 2, GB200, OPEN, "MNNVL 0"),
        (RACK.replace("MNNVL 0", "MNNVL 1"), [port()], 2, GB200, PASS, "NVLS"),
        (INFINIBAND, [port()], 2, GB200, OPEN, "does not say MNNVL 1"),
        (RACK, [port()], 2, H100, PASS, "NVLS"),
        (NO_NVLS, [port()], 2, H100, OPEN, "does not use NVLS"),
        (NO_NVLS + INFINIBAND, [port()], 2, H100, PASS, "NVLS"),
        (NO_NVLS, [port()], 2, replace(H100, gpus=1), PASS, "GPUDirect RDMA"),
        (INFINIBAND + WARNED, [port()], 2, H100, OPEN, "Got completion with error 12"),
        ("", [], 1, H100, OPEN, "names no transport"),
        ("", [], 1, replace(H100, gpus=1), Verdict.NOT_APPLICABLE, "on one node"),
    ],
)
def test_transport_beside_what_the_node_has(
    log: str, ports: list[Port], nodes: int, own: Wiring, verdict: Verdict, words: str
) -> None:
    found, why, remedy = transport(parse(log), ports, nodes, own)
    assert (found, words in why) == (verdict, True), why
    assert bool(remedy) == bool(verdict.exit_code)


def test_wiring_by_nvml() -> None:
    own = wiring(nvml_double.seen("healthy-h100-sxm"), 8)
    assert own == H100
    assert wiring(nvml_double.seen("l4"), 1).linked is False
    assert "NVIDIA GB200" in wiring(nvml_double.seen("gb200"), 4).models


def test_bandwidth_beside_the_ports() -> None:
    bound = BOUNDS["network_least"]
    ports = [port()] * 8
    good, bad = (Rate("all_reduce", 1 << 30, rate, 20) for rate in (360.0, 150.0))
    assert bandwidth(good, ports, gpus=8, nodes=2, bound=bound)[0] is Verdict.PASS
    assert bandwidth(bad, ports, gpus=8, nodes=2, bound=bound)[0] is Verdict.FAIL
    assert bandwidth(bad, ports, gpus=1, nodes=2, bound=bound)[0] is Verdict.PASS  # one port
    assert bandwidth(bad, ports, gpus=8, nodes=1, bound=bound)[0] is Verdict.NOT_APPLICABLE
    assert bandwidth(bad, [], gpus=8, nodes=2, bound=bound)[0] is Verdict.NOT_APPLICABLE


# As jaxlib 0.10.2 and 0.12 print it.
ABORT = """\
F1125 02:51:43.706377 17798 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. This most likely indicates that another task died; see the other task logs \
for more details. absl::Status: UNAVAILABLE: The following tasks are unhealthy:
1
The tasks have crashed.

RPC: /xla.coordination.CoordinationService/PollForError
*** Check failure stack trace: ***
"""


def test_last_words() -> None:
    said = fatal(f"before\n{ABORT}")
    assert said == (
        "JAX ended it: UNAVAILABLE: The following tasks are unhealthy: 1 The tasks have crashed."
    )
    assert of_a_peer(said)
    assert of_a_peer("ValueError: UNKNOWN: Gloo AllGather failed: Connection closed by peer")
    assert not of_a_peer("RuntimeError: Unable to initialize backend 'cuda'")
    assert fatal("F1125 other.h:1] Check failed") == ""
    assert of_code(-9) == "was ended by SIGKILL (Killed)"
    assert of_code(3) == "ended with exit code 3 and without a word"


def test_bounds_have_sources() -> None:
    for name in ("clock_offset_most", "start_spread_most", "pair_least", "network_least"):
        assert BOUNDS[name].source


def test_public_names() -> None:
    assert all(hasattr(multi, name) for name in multi.__all__)
