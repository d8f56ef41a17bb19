"""decode: one token more for each sequence of a batch, with a KV cache, on one GPU."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs import _models
from jaxpad.workloads.programs._models import (
    Layers,
    merge,
    project,
    rms_norm,
    shares,
    struct,
    weights,
)


@dataclass(frozen=True)
class Sizes(_models.DecoderSizes):
    """Of the decoder, its batch, and the `length` that its cache has room for."""

    batch: int = 16
    length: int = 2048


FULL = Sizes()
TINY = Sizes(2, 32, 4, 64, vocabulary=40, dtype="float32", batch=2, length=16)


def program(mesh: Mesh, sizes: Sizes = FULL) -> Program:
    """The step takes (cache, params, tokens, position) and returns (cache, next tokens).

    The cache, which is donated, is {k, v}: (layers, batch, length, heads, depth); tokens are
    (batch,) in int32, position a scalar in int32; params are `_decoder.weights`.
    """
    depth = sizes.width // sizes.heads
    room = (sizes.layers, sizes.batch, sizes.length, sizes.heads, depth)
    cache = {name: struct(mesh, room, sizes.dtype) for name in ("k", "v")}
    tokens, position = struct(mesh, (sizes.batch,), jnp.int32), struct(mesh, (), jnp.int32)
    jitted = jax.jit(_step, donate_argnums=0)
    return Program(jitted, (cache, weights(mesh, sizes), tokens, position))


def _step(
    cache: Layers, params: dict[str, Layers], tokens: jax.Array, position: jax.Array
) -> tuple[Layers, jax.Array]:
    embed, blocks = params["ends"]["embed"], params["blocks"]

    def body(
        carried: tuple[jax.Array, Layers], at: tuple[jax.Array, Layers]
    ) -> tuple[tuple[jax.Array, Layers], None]:
        return _block(*carried, *at, position), None

    layers = (jnp.arange(len(blocks["up"])), blocks)
    (x, cache), _ = lax.scan(body, (embed[tokens], cache), layers)
    return cache, jnp.argmax(rms_norm(x) @ embed.T, axis=-1).astype(jnp.int32)


def _block(
    x: jax.Array, cache: Layers, index: jax.Array, block: Layers, position: jax.Array
) -> tuple[jax.Array, Layers]:
    """Block number `index`: x (batch, width); writes its k and v in the cache at `position`."""
    y = rms_norm(x)
    q, *new = project(y, block["qkv"], cache["k"].shape[3])
    where = (index, 0, position, 0, 0)
    cache = {
        name: lax.dynamic_update_slice(cache[name], part[None, :, None], where)
        for name, part in zip(("k", "v"), new, strict=True)
    }
    k, v = (lax.dynamic_index_in_dim(cache[name], index, keepdims=False) for name in ("k", "v"))
    seen = jnp.arange(k.shape[1]) <= position
    share = shares(jnp.einsum("bhd,bthd->bht", q, k), seen, q.shape[-1])
    return merge(x, y, jnp.einsum("bht,bthd->bhd", share, v), block), cache
