"""What the training steps share: where an argument lives, and the step around a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpad.workloads._model import Program

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
