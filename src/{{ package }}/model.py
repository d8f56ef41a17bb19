"""A decoder transformer in plain JAX: parameters in float32, products in bfloat16."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import Array, lax
from jax.sharding import Mesh

from .config import Config
from .placement import by_rows, gathered

Params = dict[str, Any]


def init(key: Array, config: Config) -> Params:
    """Parameters in float32; those of all layers are stacked along a first axis."""
    width, layers = config.width, config.layers
    shapes = {
        "qkv": (layers, width, 3 * width),
        "out": (layers, width, width),
        "up": (layers, width, 4 * width),
        "down": (layers, 4 * width, width),
    }
    keys = dict(zip([*shapes, "embed", "position"], jr.split(key, 6), strict=True))
    blocks: Params = {name: _normal(keys[name], shape) for name, shape in shapes.items()}
    blocks |= {name: jnp.ones((layers, width)) for name in ("norm_attention", "norm_mlp")}
    return {
        "embed": 0.02 * jr.normal(keys["embed"], (config.vocabulary, width)),
        "position": 0.02 * jr.normal(keys["position"], (config.sequence, width)),
        "blocks": blocks,
        "norm": jnp.ones(width),
    }


def _normal(key: Array, shape: tuple[int, ...]) -> Array:
    scaled: Array = jr.normal(key, shape) / shape[-2] ** 0.5
    return scaled


def loss(params: Params, tokens: Array, config: Config, mesh: Mesh) -> Array:
    """Mean cross entropy in nats of predicting each next byte.

    `tokens` is int32 of (batch, sequence + 1).
    """
    logits = apply(params, tokens[:, :-1], config, mesh).astype(jnp.float32)
    chosen = jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def apply(params: Params, tokens: Array, config: Config, mesh: Mesh) -> Array:
    """Logits in bfloat16 of (batch, sequence, vocabulary)."""
    half: Params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    embed, position, norm = gathered((half["embed"], half["position"], half["norm"]), mesh)
    x = by_rows(embed[tokens] + position[None], mesh)

    # One layer is compiled and run `layers` times; its activations are computed again in the
    # backward pass instead of being kept.
    @jax.checkpoint
    def block(x: Array, layer: Params) -> tuple[Array, None]:
        layer = gathered(layer, mesh)
        x = x + _attention(_norm(x, layer["norm_attention"]), layer, config)
        hidden = jax.nn.gelu(_norm(x, layer["norm_mlp"]) @ layer["up"])
        return by_rows(x + hidden @ layer["down"], mesh), None

    x, _ = lax.scan(block, x, half["blocks"])
    logits: Array = _norm(x, norm) @ embed.T
    return logits


def _attention(x: Array, layer: Params, config: Config) -> Array:
    batch, sequence, width = x.shape
    heads = (batch, sequence, config.heads, width // config.heads)
    q, k, v = (part.reshape(heads) for part in jnp.split(x @ layer["qkv"], 3, axis=-1))
    mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    out: Array = mixed.reshape(batch, sequence, width) @ layer["out"]
    return out


def _norm(x: Array, scale: Array) -> Array:
    """RMS normalization, its mean in float32."""
    square = jnp.mean(jnp.square(x.astype(jnp.float32)), axis=-1, keepdims=True)
    return x * lax.rsqrt(square + 1e-6).astype(x.dtype) * scale
