"""What the transformer and the decode step share: the decoder's sizes, weights and block.

A block runs attention and MLP side by side on one normalised input (PaLM,
https://arxiv.org/abs/2204.02311, section 2): as large in the matrix multiplications as the
usual block, and fewer small kernels to compile.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from jaxpad.workloads.programs._mlp import Layers
from jaxpad.workloads.programs._train import struct


@dataclass(frozen=True)
class Sizes:
    """Of the decoder."""

    layers: int = 4
    width: int = 2048
    heads: int = 16
    hidden: int = 8192
    vocabulary: int = 8192
    dtype: str = "bfloat16"


def weights(mesh: Mesh, sizes: Sizes) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    """The decoder's weights, whole on every device.

    `ends` has embed (vocabulary, width), which also makes the logits; `blocks` has qkv
    (layers, width, 3 width), out (layers, width, width), up (layers, width, hidden) and
    down (layers, hidden, width).
    """
    shapes = {
        "qkv": (sizes.layers, sizes.width, 3 * sizes.width),
        "out": (sizes.layers, sizes.width, sizes.width),
        "up": (sizes.layers, sizes.width, sizes.hidden),
        "down": (sizes.layers, sizes.hidden, sizes.width),
    }
    return {
        "ends": {"embed": struct(mesh, (sizes.vocabulary, sizes.width), sizes.dtype)},
        "blocks": {name: struct(mesh, shape, sizes.dtype) for name, shape in shapes.items()},
    }


def rms_norm(x: jax.Array) -> jax.Array:
    """X (…, width) over the root of its mean square (https://arxiv.org/abs/1910.07467)."""
    full = x.astype(jnp.float32)
    scale = lax.rsqrt(jnp.mean(jnp.square(full), axis=-1, keepdims=True) + 1e-6)
    return (full * scale).astype(x.dtype)


def project(y: jax.Array, qkv: jax.Array, heads: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Query, key and value, each (rows, heads, depth), of y (rows, width)."""
    parts = (y @ qkv).reshape(len(y), 3, heads, -1)
    return parts[:, 0], parts[:, 1], parts[:, 2]


def shares(scores: jax.Array, seen: jax.Array, depth: int) -> jax.Array:
    """Softmax over the last axis in fp32 of the scaled scores that are seen; their dtype."""
    scaled = jnp.where(seen, scores.astype(jnp.float32) * depth**-0.5, -1e9)
    return jax.nn.softmax(scaled, axis=-1).astype(scores.dtype)


def merge(x: jax.Array, y: jax.Array, attended: jax.Array, block: Layers) -> jax.Array:
    """The block's output: x and y (rows, width), attended (rows, heads, depth)."""
    mixed = attended.reshape(x.shape) @ block["out"]
    return x + mixed + jax.nn.gelu(y @ block["up"]) @ block["down"]
