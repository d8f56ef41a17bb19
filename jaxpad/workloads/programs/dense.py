"""dense: a training step of two residual MLPs on one GPU, their layers not in a loop."""

from __future__ import annotations

import jax
from jax.sharding import Mesh

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs._models import (
    Layers,
    MlpSizes,
    mlp,
    squared_error,
    struct,
    training_step,
)

FULL = MlpSizes(layers=2)
TINY = MlpSizes(layers=2, width=32, hidden=64, tokens=64, dtype="float32")


def program(mesh: Mesh, sizes: MlpSizes = FULL) -> Program:
    """Params are a list of {up: (width, hidden), down: (hidden, width)}, x (tokens, width)."""

    def loss(params: list[Layers], x: jax.Array, target: jax.Array) -> jax.Array:
        for layer in params:
            x = mlp(x, layer)
        return squared_error(x, target)

    layer = {
        "up": struct(mesh, (sizes.width, sizes.hidden), sizes.dtype),
        "down": struct(mesh, (sizes.hidden, sizes.width), sizes.dtype),
    }
    x = struct(mesh, (sizes.tokens, sizes.width), sizes.dtype)
    return training_step(loss, [layer] * sizes.layers, x, x)
