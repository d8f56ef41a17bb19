"""What the training steps share: where an argument lives, and the step around a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpad.workloads.model import Program

_RATE, _MOMENTUM = 1e-2, 0.9


def struct(mesh: Mesh, shape: tuple[int, ...], dtype: Any, *spec: Any) -> jax.ShapeDtypeStruct:
    """An abstract array on the mesh, its dimensions sharded as PartitionSpec(*spec) says."""
    return jax.ShapeDtypeStruct(
        shape, jnp.dtype(dtype), sharding=NamedSharding(mesh, PartitionSpec(*spec))
    )


def sharding_of(tree: Any) -> Any:
    """The shardings of a tree of abstract arrays."""
    return jax.tree.map(lambda leaf: leaf.sharding, tree)


def training_step(loss: Callable[..., jax.Array], params: Any, *batch: Any) -> Program:
    """One step of gradient descent with momentum on `loss(params, *batch)`.

    The step takes (state, *batch) and returns (state, loss), where state is (params,
    velocity), both trees like `params`. It donates the state, which comes back in the shape,
    dtype and sharding it had; the loss is a scalar in fp32, the same on every device.
    """

    def step(state: tuple[Any, Any], *batch: jax.Array) -> tuple[tuple[Any, Any], jax.Array]:
        params, velocity = state
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        velocity = jax.tree.map(lambda v, g: _MOMENTUM * v + g, velocity, gradient)
        params = jax.tree.map(lambda p, v: p - _RATE * v, params, velocity)
        return (params, velocity), value

    state = (params, params)
    mesh = jax.tree.leaves(params)[0].sharding.mesh
    everywhere = NamedSharding(mesh, PartitionSpec())
    jitted = jax.jit(step, donate_argnums=0, out_shardings=(sharding_of(state), everywhere))
    return Program(jitted, (state, *batch))


def squared_error(output: jax.Array, target: jax.Array) -> jax.Array:
    """The mean squared error in fp32, a scalar."""
    return jnp.mean(jnp.square((output - target).astype(jnp.float32)))


# The residual MLP that the sharded programs train, its layers stacked for a scan.

Layers = dict[str, jax.Array]


@dataclass(frozen=True)
class MlpSizes:
    """Of a stack of residual MLPs: `layers` of `width` to `hidden` and back, for `tokens`."""

    layers: int = 8
    width: int = 4096
    hidden: int = 16384
    tokens: int = 8192
    dtype: str = "bfloat16"


TINY = MlpSizes(layers=2, width=32, hidden=64, tokens=64, dtype="float32")


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


# What the transformer and the decode step share: the decoder's sizes, weights and block.
#
# A block runs attention and MLP side by side on one normalised input (PaLM,
# https://arxiv.org/abs/2204.02311, section 2): as large in the matrix multiplications as the
# usual block, and fewer small kernels to compile.


@dataclass(frozen=True)
class DecoderSizes:
    """Of the decoder."""

    layers: int = 4
    width: int = 2048
    heads: int = 16
    hidden: int = 8192
    vocabulary: int = 8192
    dtype: str = "bfloat16"


def weights(mesh: Mesh, sizes: DecoderSizes) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
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
