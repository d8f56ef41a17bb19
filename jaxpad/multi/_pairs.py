"""Every pair of nodes by itself, to tell a bad node from a bad link."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import Mesh

from jaxpad.multi._collectives import mesh as mesh_of
from jaxpad.multi._exchange import exchange
from jaxpad.multi._record import Pair
from jaxpad.multi._speed import MIB, busbw, caller
from jaxpad.multi._world import World
from jaxpad.verdict import Verdict

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
