"""pp: pipeline parallel; each GPU holds some layers and hands microbatches to the next.

GPipe's schedule (https://arxiv.org/abs/1811.06965) as one loop: at tick t, stage s works on
microbatch t - s; a collective permute after each tick moves every output one stage on.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs import _models
from jaxpad.workloads.programs._models import Layers, scanned, squared_error, struct, training_step


@dataclass(frozen=True)
class Sizes(_models.MlpSizes):
    """As of an MLP, with `tokens` in each of `microbatches`; stages share the layers evenly."""

    microbatches: int = 16


FULL = Sizes(layers=16, width=2048, hidden=8192, tokens=4096)
TINY = Sizes(layers=8, width=32, hidden=64, tokens=16, dtype="float32", microbatches=4)


def program(mesh: Mesh, sizes: Sizes = FULL) -> Program:
    """X (microbatches, tokens, width) is on every GPU; the loss is the last stage's.

    Params are {up: (layers, width, hidden), down: (layers, hidden, width)}, sharded over
    their layers on the axis `stage`.
    """
    stages, everywhere = PartitionSpec("stage"), PartitionSpec()

    def loss(params: Layers, x: jax.Array, target: jax.Array) -> jax.Array:
        inside = jax.shard_map(
            _pipeline, mesh=mesh, in_specs=(stages, everywhere, everywhere), out_specs=everywhere
        )
        value: jax.Array = inside(params, x, target)
        return value

    up, down = (sizes.layers, sizes.width, sizes.hidden), (sizes.layers, sizes.hidden, sizes.width)
    params = {
        "up": struct(mesh, up, sizes.dtype, "stage"),
        "down": struct(mesh, down, sizes.dtype, "stage"),
    }
    x = struct(mesh, (sizes.microbatches, sizes.tokens, sizes.width), sizes.dtype)
    return training_step(loss, params, x, x)


def _pipeline(layers: Layers, x: jax.Array, target: jax.Array) -> jax.Array:
    """One stage: its own layers (layers / stages, …), all of x; the loss, on every stage."""
    stage, stages, microbatches = lax.axis_index("stage"), lax.axis_size("stage"), len(x)
    onwards = [(i, i + 1) for i in range(stages - 1)]

    def tick(received: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        fresh = lax.dynamic_index_in_dim(x, jnp.minimum(t, microbatches - 1), keepdims=False)
        output = scanned(jnp.where(stage == 0, fresh, received), layers)
        return lax.ppermute(output, "stage", onwards), output

    nothing = lax.pcast(jnp.zeros_like(x[0]), "stage", to="varying")
    outputs = lax.scan(tick, nothing, jnp.arange(microbatches + stages - 1))[1]
    error = squared_error(outputs[stages - 1 :], target)
    loss: jax.Array = lax.psum(jnp.where(stage == stages - 1, error, 0.0), "stage")
    return loss
