"""Two training steps of a few milliseconds on a CPU: what the tuner is tried on.

invoke profile.tune --workload benchmarks.steps:mlp
invoke profile.tune --workload benchmarks.steps:transformer
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

LAYERS, WIDTH, HIDDEN, HEADS = 2, 128, 512, 4


def mlp(mesh: Mesh) -> Any:
    """A training step of a residual MLP: 256 rows, GELU, layer norm, SGD."""

    def loss(params: Any, x: jax.Array, target: jax.Array) -> jax.Array:
        for one in params:
            x = x + jax.nn.gelu(_norm(x) @ one["up"]) @ one["down"]
        return jnp.mean((x - target) ** 2)

    layer = {"up": _struct(mesh, WIDTH, HIDDEN), "down": _struct(mesh, HIDDEN, WIDTH)}
    x = _struct(mesh, 256, WIDTH)
    return _step(loss), ([layer] * LAYERS, x, x)


def transformer(mesh: Mesh) -> Any:
    """A training step of two decoder blocks over 2 sequences of 64 tokens, SGD."""

    def loss(params: Any, x: jax.Array, target: jax.Array) -> jax.Array:
        for one in params:
            x = x + _attention(_norm(x), one)
            x = x + jax.nn.gelu(_norm(x) @ one["up"]) @ one["down"]
        return jnp.mean((x - target) ** 2)

    layer = {
        "qkv": _struct(mesh, WIDTH, 3 * WIDTH),
        "out": _struct(mesh, WIDTH, WIDTH),
        "up": _struct(mesh, WIDTH, HIDDEN),
        "down": _struct(mesh, HIDDEN, WIDTH),
    }
    x = _struct(mesh, 2, 64, WIDTH)
    return _step(loss), ([layer] * LAYERS, x, x)


mlp.devices = 1  # type: ignore[attr-defined]
transformer.devices = 1  # type: ignore[attr-defined]


def _step(loss: Any) -> Any:
    def step(params: Any, x: jax.Array, target: jax.Array) -> Any:
        value, grads = jax.value_and_grad(loss)(params, x, target)
        return value, jax.tree.map(lambda one, grad: one - 0.01 * grad, params, grads)

    return jax.jit(step)


def _attention(x: jax.Array, layer: Any) -> jax.Array:
    batch, length, width = x.shape
    heads = (x @ layer["qkv"]).reshape(batch, length, 3, HEADS, width // HEADS)
    query, key, value = jnp.moveaxis(heads, 2, 0)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / (width // HEADS) ** 0.5
    seen = jnp.tril(jnp.ones((length, length), bool))
    weights = jax.nn.softmax(jnp.where(seen, scores, -1e9))
    mixed: jax.Array = jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(x.shape)
    return mixed @ jnp.asarray(layer["out"])


def _norm(x: jax.Array) -> jax.Array:
    centred = x - jnp.mean(x, -1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.var(x, -1, keepdims=True) + 1e-5)


def _struct(mesh: Mesh, *shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, PartitionSpec()))
