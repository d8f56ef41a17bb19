"""psum, all_gather, psum_scatter, all_to_all, ppermute over all devices, as one axis.

Names, sizes and bus bandwidth (busbw) are nccl-tests':
https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

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


def width(kind: str, devices: int) -> int:
    """Elements of one device in the check of correctness."""
    return 4 * devices if kind in ("reduce_scatter", "all_to_all") else _SHORT


def expected(kind: str, device: int, devices: int, turn: int) -> np.ndarray[Any, Any]:
    """What a device must hold afterwards."""
    size = width(kind, devices)
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
