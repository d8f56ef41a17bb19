"""Operands: normally distributed, and more of them than caches hold.

Zeros, ones and small integers toggle fewer bits, so a GPU draws less power, clocks higher
and flatters the rate: https://www.thonking.ai/p/strangely-matrix-multiplications
"""

from __future__ import annotations

import functools as ft
import itertools as it
import math
from typing import Any

import jax
import jax.numpy as jnp

# Four times the largest L2 of configs/gpus (B300: 129 MiB); a CPU's share of the last level.
_BEYOND = {"gpu": 512 << 20, "cpu": 64 << 20}
_TILE = 4_000_037  # prime: a shift by a power of two does not go unnoticed


def beyond_caches(platform: str) -> int:
    """Bytes of operands that no cache of such a device holds."""
    return _BEYOND.get(platform, _BEYOND["gpu"])


def size(tree: Any) -> int:
    """Bytes of a tree of arrays, abstract ones too."""
    leaves = jax.tree.leaves(tree)
    return sum(math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize for leaf in leaves)


def normal(args: tuple[Any, ...], seed: int) -> tuple[Any, ...]:
    """Arrays in place of abstract ones, N(0, 1), other ones for each seed; scalars near 1."""
    leaves, form = jax.tree.flatten(args)
    drawn = _drawn(tuple(leaves))(jax.random.key(seed))
    return jax.tree.unflatten(form, drawn)  # type: ignore[no-any-return]


@ft.lru_cache(maxsize=64)
def _drawn(leaves: tuple[jax.ShapeDtypeStruct, ...]) -> Any:
    """One program with one generator in it: several take longer to compile than to run."""
    counts = [_count(leaf) for leaf in leaves]
    ends = list(it.accumulate(counts))

    def draw(key: jax.Array) -> list[jax.Array]:
        flat = jax.random.normal(key, (ends[-1],), jnp.float32)
        parts = jnp.split(flat, ends[:-1])
        return [_shaped(leaf, part) for leaf, part in zip(leaves, parts, strict=True)]

    return jax.jit(draw, out_shardings=[leaf.sharding for leaf in leaves])


def _count(leaf: jax.ShapeDtypeStruct) -> int:
    """Numbers to draw: every element of a vector would take longer than the measurement."""
    size: int = math.prod(leaf.shape)
    return min(_TILE, size) if len(leaf.shape) == 1 else size


def _shaped(leaf: jax.ShapeDtypeStruct, numbers: jax.Array) -> jax.Array:
    if not leaf.shape:
        return (1 + jnp.tanh(numbers[0]) / 2).astype(leaf.dtype)
    return jnp.resize(numbers, leaf.shape).astype(leaf.dtype)
