"""dp: data parallel; every GPU holds the whole model and a share of the batch.

Each layer's gradient is summed over the GPUs inside the backward loop, those of the weights
outside it after the loop.
"""

from __future__ import annotations

import jax
from jax.sharding import Mesh

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs._models import (
    TINY,
    Layers,
    MlpSizes,
    scanned,
    squared_error,
    struct,
    training_step,
)

__all__ = ["FULL", "TINY", "program"]

FULL = MlpSizes(layers=4, width=1024, hidden=4096, tokens=32768)


def program(mesh: Mesh, sizes: MlpSizes = FULL) -> Program:
    """The batch (tokens, width) is sharded over the axis `data`, nothing else is.

    Params are `layers`, {up: (layers, width, hidden), down: (layers, hidden, width)}, and
    `embed` and `head`, (width, width).
    """

    def loss(params: dict[str, Layers], x: jax.Array, target: jax.Array) -> jax.Array:
        ends = params["ends"]
        x = scanned(x @ ends["embed"], params["layers"])
        return squared_error(x @ ends["head"], target)

    square = struct(mesh, (sizes.width, sizes.width), sizes.dtype)
    params = {
        "ends": {"embed": square, "head": square},
        "layers": {
            "up": struct(mesh, (sizes.layers, sizes.width, sizes.hidden), sizes.dtype),
            "down": struct(mesh, (sizes.layers, sizes.hidden, sizes.width), sizes.dtype),
        },
    }
    x = struct(mesh, (sizes.tokens, sizes.width), sizes.dtype, "data")
    return training_step(loss, params, x, x)
