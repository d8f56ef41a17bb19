"""Busbw of each collective over message sizes, and who keeps the others waiting.

A call takes each process from its own start to the end that all share, so the shortest time
is the transfer's and the rest of a longer one is waiting for a late peer. The rate is from
the shortest, as JAX-Toolbox takes it; the process that waits less than the others is late.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import Mesh

from jaxpad.multi import _collectives as collectives, _odd
from jaxpad.multi._compare import answer
from jaxpad.multi._exchange import exchange
from jaxpad.multi._record import Rate
from jaxpad.multi._world import World

MIB = 1 << 20
_GPU_SIZES = tuple(MIB << shift for shift in (0, 2, 4, 6, 8, 10))  # 1 MiB to 1 GiB
_CPU_SIZES = (MIB, 4 * MIB)
_GROWTH = 4  # from one size to the next
_MOST_S = 30.0  # of a collective and size: TCP at 1 Gbit/s would take minutes for 1 GiB
_SHARE = 16  # a message is at most this part of the memory: operand, result, the next ones


@dataclass(frozen=True)
class Plan:
    """What is timed. Warm-up calls build NCCL's channels."""

    sizes: tuple[int, ...]
    warm_up: int
    calls: int


def plan(world: World) -> Plan:
    """The same on every process: by the least memory of all."""
    if not world.gpu:
        return Plan(_CPU_SIZES, warm_up=1, calls=5)
    memory = min((peer.memory for peer in world.peers if peer.memory), default=0)
    sizes = tuple(size for size in _GPU_SIZES if size * _SHARE <= (memory or 16 << 30))
    return Plan(sizes, warm_up=5, calls=20)


Times = dict[tuple[str, int], float]  # median seconds of a call, by kind and bytes


def times(world: World, mesh: Mesh, kind: str) -> Times:
    """Of each size, as this process sees it; none of a single device.

    Sizes that would take too long are left out, by the slowest process: on all or none.
    """
    found: Times = {}
    what = plan(world)
    for size in what.sizes if mesh.devices.size > 1 else ():
        found[kind, size] = _case(world, mesh, what, kind, size)
        slowest = max(map(float, exchange(str(found[kind, size]))))
        if slowest * _GROWTH * (what.calls + what.warm_up) > _MOST_S:
            break
    return found


def compare_times(world: World, mesh: Mesh, own: Times) -> None:
    """The rates, and a check of who came late to the calls."""
    world.tell.step("speed", "compare the times", together=True)
    all_times = [json.loads(text) for text in exchange(json.dumps(list(own.values())))]
    shortest = [min(each) for each in zip(*all_times, strict=True)]
    devices, calls = int(mesh.devices.size), plan(world).calls
    rates = [
        Rate(kind, size, busbw(kind, size, devices, seconds), calls)
        for (kind, size), seconds in zip(own, shortest, strict=True)
    ]
    world.tell.tell(rates=tuple(rates))
    if own:
        _late(world, all_times)


def busbw(kind: str, size: int, devices: int, seconds: float) -> float:
    """GB/s on the bus for `size` bytes in `seconds`."""
    return size * collectives.bus_factor(kind, devices) / 1e9 / max(seconds, 1e-9)


def _case(world: World, mesh: Mesh, what: Plan, kind: str, size: int) -> float:
    """The median seconds of a call, as this process sees it."""
    world.tell.step("speed", f"{kind} of {size // MIB} MiB", together=True)
    call = caller(mesh, kind, size)
    for _ in range(what.warm_up):
        jax.block_until_ready(call())
    return statistics.median(_timed(world, call) for _ in range(what.calls))


def caller(mesh: Mesh, kind: str, size: int) -> Callable[[], Any]:
    """A call of the collective, each time on other data: one of two, or the last but one sum.

    Sums grow beyond float32 after some calls; the time of a transfer does not depend on it.
    """
    run = collectives.jitted(kind, mesh)
    elements = _elements(kind, size, int(mesh.devices.size))
    operands = deque(collectives.operand(mesh, elements, turn) for turn in range(2))

    def call() -> Any:
        given = operands.popleft()
        result = run(given)
        operands.append(result if kind == "all_reduce" else given)  # it has donated its own
        return result

    return call


def _elements(kind: str, size: int, devices: int) -> int:
    """What one device puts in: a multiple of the devices, at least one for each."""
    elements = size // 4 // (devices if kind == "all_gather" else 1)
    return max(elements - elements % devices, devices)


def _timed(world: World, call: Callable[[], Any]) -> float:
    world.job.disturb.call()
    before = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - before


def _late(world: World, times: Sequence[Sequence[float]]) -> None:
    """Who waits for nobody while the others wait: the late one, by the mean of all cases."""
    bound = world.job.bounds["straggle_most"]
    lags = {rank: -statistics.mean(each) for rank, each in enumerate(times)}
    highest = statistics.median_low(lags.values())
    odd = _odd.by_lag("comes to each collective", lags, world.nodes, bound.value)
    well = (
        f"nobody is more than {bound.value:g} s late (most: {max(lags.values()) - highest:.2g} s)"
    )
    answer(
        world, "in step", odd, well, "look for another program on that node: jaxpad health --idle"
    )
