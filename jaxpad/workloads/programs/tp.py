"""tp: tensor parallel; every matrix is cut over the GPUs, and activations along the sequence.

Before a layer the sequence is gathered, after it partial sums are scattered: the
collectives that a windowed einsum takes apart and overlaps with its matrix multiplications.
"""

from __future__ import annotations

import jax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs._models import (
    TINY,
    Layers,
    MlpSizes,
    squared_error,
    struct,
    training_step,
)

__all__ = ["FULL", "TINY", "program"]

FULL = MlpSizes(layers=4, width=4096, hidden=16384, tokens=4096)
_BATCH = 2


def program(mesh: Mesh, sizes: MlpSizes = FULL) -> Program:
    """X (2, tokens, width) is sharded over its tokens on the axis `model`.

    Params are {up: (layers, width, hidden), down: (layers, hidden, width)}, sharded over
    their `hidden`.
    """
    between = NamedSharding(mesh, PartitionSpec(None, "model", None))
    within = NamedSharding(mesh, PartitionSpec(None, None, "model"))

    def body(x: jax.Array, layer: Layers) -> tuple[jax.Array, None]:
        hidden = lax.with_sharding_constraint(jax.nn.gelu(x @ layer["up"]), within)
        return lax.with_sharding_constraint(x + hidden @ layer["down"], between), None

    def loss(params: Layers, x: jax.Array, target: jax.Array) -> jax.Array:
        return squared_error(lax.scan(body, x, params)[0], target)

    up, down = (sizes.layers, sizes.width, sizes.hidden), (sizes.layers, sizes.hidden, sizes.width)
    params = {
        "up": struct(mesh, up, sizes.dtype, None, None, "model"),
        "down": struct(mesh, down, sizes.dtype, None, "model", None),
    }
    x = struct(mesh, (_BATCH, sizes.tokens, sizes.width), sizes.dtype, None, "model")
    return training_step(loss, params, x, x)
