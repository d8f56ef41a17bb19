"""fsdp, fsdp-2x8: fully sharded data parallel over scanned layers.

Each GPU holds a share of every weight and gathers a layer's weights when the loop comes to
that layer; the gradients are scattered back. Over two nodes the shares lie within a node, as
is usual: weights are gathered inside it, and gradients summed across.
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

FULL = MlpSizes(layers=8, width=4096, hidden=16384, tokens=16384)


def program(mesh: Mesh, sizes: MlpSizes = FULL) -> Program:
    """The batch (sequences, tokens, width), one sequence a GPU, is sharded over all axes.

    Params are {up: (layers, width, hidden), down: (layers, hidden, width)}, sharded over
    their `width` on the axis `fsdp`.
    """

    def loss(params: Layers, x: jax.Array, target: jax.Array) -> jax.Array:
        return squared_error(scanned(x, params), target)

    up, down = (sizes.layers, sizes.width, sizes.hidden), (sizes.layers, sizes.hidden, sizes.width)
    params = {
        "up": struct(mesh, up, sizes.dtype, None, "fsdp", None),
        "down": struct(mesh, down, sizes.dtype, None, None, "fsdp"),
    }
    batch = (mesh.size, sizes.tokens // mesh.size, sizes.width)
    x = struct(mesh, batch, sizes.dtype, mesh.axis_names)
    return training_step(loss, params, x, x)
