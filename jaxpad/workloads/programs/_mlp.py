"""The residual MLP that the sharded programs train, its layers stacked for a scan."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax

Layers = dict[str, jax.Array]


@dataclass(frozen=True)
class Sizes:
    """Of a stack of residual MLPs: `layers` of `width` to `hidden` and back, for `tokens`."""

    layers: int = 8
    width: int = 4096
    hidden: int = 16384
    tokens: int = 8192
    dtype: str = "bfloat16"


TINY = Sizes(layers=2, width=32, hidden=64, tokens=64, dtype="float32")


def mlp(x: jax.Array, layer: Layers) -> jax.Array:
    """One layer: x (tokens, width), `up` (width, hidden), `down` (hidden, width)."""
    return x + jax.nn.gelu(x @ layer["up"]) @ layer["down"]


def scanned(x: jax.Array, layers: Layers) -> jax.Array:
    """Every layer in turn, recomputed in the backward pass: leaves are (layers, …)."""

    @jax.checkpoint
    def body(x: jax.Array, layer: Layers) -> tuple[jax.Array, None]:
        return mlp(x, layer), None

    return lax.scan(body, x, layers)[0]


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean over all labels in fp32: logits (…, classes) in any float, labels (…) int32."""
    logits = logits.astype(jnp.float32)
    chosen = jnp.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)
