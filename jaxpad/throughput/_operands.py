"""Operands: normally distributed, and more of them than caches hold.

Zeros, ones and small integers toggle fewer bits, so a GPU draws less power, clocks higher
and flatters the rate: https://www.thonking.ai/p/strangely-matrix-multiplications
"""

from __future__ import annotations

import functools as ft
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
    """One program that draws them all: a compile for each would outlast the measurement."""

    def draw(key: jax.Array) -> list[jax.Array]:
        keys = jax.random.split(key, len(leaves))
        return [_one(leaf, each) for leaf, each in zip(leaves, keys, strict=True)]

    return jax.jit(draw, out_shardings=[leaf.sharding for leaf in leaves])


def _one(leaf: jax.ShapeDtypeStruct, key: jax.Array) -> jax.Array:
    if not leaf.shape:
        return jax.random.uniform(key, (), jnp.float32, 0.5, 1.5).astype(leaf.dtype)
    if len(leaf.shape) == 1:  # drawing every element of a vector would take too long
        tile = jax.random.normal(key, (min(_TILE, leaf.shape[0]),), jnp.float32)
        return jnp.resize(tile, leaf.shape).astype(leaf.dtype)
    return jax.random.normal(key, leaf.shape, jnp.float32).astype(leaf.dtype)
