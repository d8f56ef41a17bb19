"""psum, all_gather, psum_scatter, all_to_all, ppermute over all devices, as one axis.

Names, sizes and bus bandwidth (busbw) are nccl-tests':
https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
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
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpad.core.results import Verdict
from jaxpad.multi import comparison
from jaxpad.multi.comparison import answer
from jaxpad.multi.context import World, exchange
from jaxpad.multi.record import Rate

AXIS = "device"
# In this order: after a reduce_scatter of Gloo its all_reduce and all_gather over the same
# processes take 200 times as long (jaxlib 0.10.2, 3 processes).
KINDS = ("all_reduce", "all_gather", "all_to_all", "permute", "reduce_scatter")
_SHORT = 256  # elements of one device, where its size is free
_BASE = 251  # a prime: data repeat with no size or count


def bus_factor(kind: str, devices: int) -> float:
    """Busbw over bytes / time: 2 (n-1) / n for all_reduce, 1 for permute, else (n-1) / n."""
    if kind == "permute":
        return 1.0
    return (2 if kind == "all_reduce" else 1) * (devices - 1) / devices


def mesh(devices: list[Any]) -> Mesh:
    """The devices in one row."""
    return Mesh(np.array(devices), (AXIS,))


def jitted(kind: str, over: Mesh) -> Callable[[Any], Any]:
    """The collective, alone in its program: an array (devices, elements) to the like.

    An all_reduce donates its operand: it works in place.
    """
    count = over.devices.size
    one = _ONE[kind]
    rows = PartitionSpec(AXIS)
    mapped = jax.shard_map(
        lambda x: one(x[0], count)[None], mesh=over, in_specs=rows, out_specs=rows
    )
    return jax.jit(mapped, donate_argnums=(0,) if kind == "all_reduce" else ())


def operand(over: Mesh, elements: int, turn: int) -> Any:
    """An array (devices, elements) of float32 whose row depends on its device and the turn."""
    sharding = NamedSharding(over, PartitionSpec(AXIS))
    shape = (over.devices.size, elements)

    def part(index: Any) -> np.ndarray[Any, Any]:
        return row(index[0].start or 0, elements, turn)[None]

    return jax.make_array_from_callback(shape, sharding, part)


def row(device: int, elements: int, turn: int, first: int = 0) -> np.ndarray[Any, Any]:
    """What a device puts in: whole numbers under 251, so that float32 sums of 66,000 are exact."""
    at = np.arange(first, first + elements)
    return ((device * 7 + at * 3 + turn * 11) % _BASE).astype(np.float32)


def group_width(kind: str, devices: int) -> int:
    """Elements of one device in the check of correctness."""
    return 4 * devices if kind in ("reduce_scatter", "all_to_all") else _SHORT


def expected_result(kind: str, device: int, devices: int, turn: int) -> np.ndarray[Any, Any]:
    """What a device must hold afterwards."""
    size = group_width(kind, devices)
    if kind == "permute":
        return row((device - 1) % devices, size, turn)
    if kind == "all_gather":
        return np.concatenate([row(one, size, turn) for one in range(devices)])
    if kind == "all_to_all":
        return np.concatenate([row(one, 4, turn, 4 * device) for one in range(devices)])
    part, first = (4, 4 * device) if kind == "reduce_scatter" else (size, 0)
    total = np.zeros(part, np.float32)
    for one in range(devices):
        total += row(one, part, turn, first)
    return total


def sender(kind: str, device: int, devices: int, element: int) -> int | None:
    """Whose data stand at an element of a device's result; None where they are a sum."""
    if kind == "permute":
        return (device - 1) % devices
    if kind == "all_gather":
        return element // _SHORT
    return element // 4 if kind == "all_to_all" else None


def _ring(x: jax.Array, devices: int) -> jax.Array:
    pairs = [(one, (one + 1) % devices) for one in range(devices)]
    turned: jax.Array = lax.ppermute(x, AXIS, pairs)
    return turned


_ONE: dict[str, Callable[[jax.Array, int], jax.Array]] = {
    "all_reduce": lambda x, _: lax.psum(x, AXIS),
    "all_gather": lambda x, _: lax.all_gather(x, AXIS, tiled=True),
    "reduce_scatter": lambda x, _: lax.psum_scatter(x, AXIS, tiled=True),
    "all_to_all": lambda x, _: lax.all_to_all(x, AXIS, 0, 0, tiled=True),
    "permute": _ring,
}


# Whether a collective is right on every device of this process.

TURNS = 2  # each with other data, so that an old result does not pass
_REMEDY = (
    "run the node by itself (jaxpad smoke, jaxpad health); then again with --pairwise, and "
    "with NCCL_P2P_DISABLE=1, NCCL_NVLS_ENABLE=0 or NCCL_IB_DISABLE=1 to find the path"
)


def correct(world: World, mesh: Mesh, kind: str) -> None:
    """One check of one collective."""
    found = [_wrong(world, mesh, kind, turn) for turn in range(TURNS)]  # all, as the peers do
    wrong = next(filter(None, found), "")
    verdict = Verdict.FAIL if wrong else Verdict.PASS
    right = f"right over {mesh.devices.size} devices"
    world.tell.check(kind, verdict, wrong or right, _REMEDY if wrong else "")


def _wrong(world: World, mesh: Mesh, kind: str, turn: int) -> str:
    """What is wrong, in words."""
    devices = mesh.devices.size
    world.tell.step("correct", f"{kind}: data of its own")
    x = jax.block_until_ready(operand(mesh, group_width(kind, devices), turn))
    world.tell.step("correct", f"{kind} with all", together=True)
    result = jax.block_until_ready(jitted(kind, mesh)(x))
    order = {device: at for at, device in enumerate(mesh.devices.flat)}
    for shard in result.addressable_shards:
        got = world.job.disturb.result(kind, np.asarray(shard.data)[0])
        said = _compared(world, kind, order[shard.device], devices, turn, got)
        if said:
            return said
    return ""


def _compared(world: World, kind: str, device: int, devices: int, turn: int, got: Any) -> str:
    want = expected_result(kind, device, devices, turn)
    bad = np.flatnonzero(got != want)
    if not bad.size:
        return ""
    at = int(bad[0])
    source = sender(kind, device, devices, at)
    whose = "" if source is None else f" of the data of {_owner(world, source)}"
    return (
        f"{bad.size} of {want.size} elements{whose} are wrong on {_owner(world, device)}: "
        f"element {at} is {got[at]:g}, expected {want[at]:g}"
    )


def _owner(world: World, device: int) -> str:
    """A device by its process: devices of one process are next to each other in the mesh."""
    for peer in world.peers:
        if device < peer.local_devices:
            return f"rank {peer.rank} ({peer.node})"
        device -= peer.local_devices
    return "nobody"


# Busbw of each collective over message sizes, and who keeps the others waiting.
#
# A call takes each process from its own start to the end that all share, so the shortest time
# is the transfer's and the rest of a longer one is waiting for a late peer. The rate is from
# the shortest, as JAX-Toolbox takes it; the process that waits less than the others is late.

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
    return size * bus_factor(kind, devices) / 1e9 / max(seconds, 1e-9)


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
    run = jitted(kind, mesh)
    elements = _elements(kind, size, int(mesh.devices.size))
    operands = deque(operand(mesh, elements, turn) for turn in range(2))

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
    odd = comparison.outliers_by_lag("comes to each collective", lags, world.nodes, bound.value)
    well = (
        f"nobody is more than {bound.value:g} s late (most: {max(lags.values()) - highest:.2g} s)"
    )
    answer(
        world, "in step", odd, well, "look for another program on that node: jaxpad health --idle"
    )
