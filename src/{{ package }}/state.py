"""The state of a training run, how it lies on a mesh, and one step of the optimizer."""

import functools
from typing import Any, NamedTuple

import jax
import jax.random as jr
import optax
from jax import Array
from jax.sharding import Mesh

from . import model, placement
from .config import Config

State = dict[str, Any]


class Seen(NamedTuple):
    """What a step tells: scalars in float32."""

    loss: Array
    grad_norm: Array


def optimizer(config: Config) -> optax.GradientTransformation:
    """AdamW with warm-up and clipped gradients."""
    rate = optax.warmup_constant_schedule(0.0, config.learning_rate, config.warmup)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.01))


def fresh(seed: Array, config: Config) -> State:
    """Parameters and optimizer state before the first step."""
    params = model.init(jr.key(seed), config)
    return {"params": params, "optimizer": optimizer(config).init(params)}


def update(state: State, tokens: Array, config: Config, mesh: Mesh) -> tuple[State, Seen]:
    """One step: the next state, and what was seen on the way."""
    value, grads = jax.value_and_grad(model.loss)(state["params"], tokens, config, mesh)
    updates, moments = optimizer(config).update(grads, state["optimizer"], state["params"])
    params = optax.apply_updates(state["params"], updates)
    return {"params": params, "optimizer": moments}, Seen(value, optax.tree.norm(grads))


def jitted(mesh: Mesh, config: Config) -> Any:
    """`update` over the mesh; the old state's memory is given to the new one."""
    lies = shardings(mesh, config)
    return jax.jit(
        functools.partial(update, config=config, mesh=mesh),
        in_shardings=(lies, placement.rows(mesh)),
        out_shardings=(lies, placement.replicated(mesh)),
        donate_argnums=0,
    )


def shapes(config: Config) -> State:
    """The state as shapes and dtypes, computed nowhere."""
    seed = jax.ShapeDtypeStruct((), "uint32")
    shaped: State = jax.eval_shape(functools.partial(fresh, config=config), seed)
    return shaped


def shardings(mesh: Mesh, config: Config) -> State:
    """Where each array of the state lies."""
    lies: State = placement.split(mesh, shapes(config))
    return lies
