"""transformer: a training step of a decoder on one GPU, its blocks scanned and recomputed."""

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
    cross_entropy,
    merge,
    project,
    rms_norm,
    shares,
    struct,
    training_step,
    weights,
)


@dataclass(frozen=True)
class Sizes(_models.DecoderSizes):
    """Of the decoder and the one sequence that it trains on."""

    sequence: int = 1024


FULL = Sizes()
TINY = Sizes(2, 32, 4, 64, vocabulary=40, dtype="float32", sequence=16)


def program(mesh: Mesh, sizes: Sizes = FULL) -> Program:
    """Tokens and labels are (sequence,) in int32; params are `_decoder.weights`."""

    def loss(params: dict[str, Layers], tokens: jax.Array, labels: jax.Array) -> jax.Array:
        @jax.checkpoint
        def body(x: jax.Array, block: Layers) -> tuple[jax.Array, None]:
            return _block(x, block, sizes.heads), None

        embed = params["ends"]["embed"]
        x = lax.scan(body, embed[tokens], params["blocks"])[0]
        return cross_entropy(rms_norm(x) @ embed.T, labels)

    tokens = struct(mesh, (sizes.sequence,), jnp.int32)
    return training_step(loss, weights(mesh, sizes), tokens, tokens)


def _block(x: jax.Array, block: Layers, heads: int) -> jax.Array:
    """One block, causal: x (sequence, width)."""
    y = rms_norm(x)
    q, k, v = project(y, block["qkv"], heads)
    causal = jnp.tri(len(x), dtype=bool)
    share = shares(jnp.einsum("qhd,khd->hqk", q, k), causal, q.shape[-1])
    return merge(x, y, jnp.einsum("hqk,khd->qhd", share, v), block)
