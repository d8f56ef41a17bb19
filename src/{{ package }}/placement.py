"""Where arrays lie on the mesh: FSDP.

A batch is split over both axes. Parameters and optimizer state are split over the second;
each layer's are gathered when the layer runs, and its gradients are summed and scattered.
"""

from typing import Any

import jax
from jax import Array, lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

AXES = ("data", "fsdp")


def rows(mesh: Mesh) -> NamedSharding:
    """Of a batch, and of whatever has its rows first."""
    return NamedSharding(mesh, P(AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """Of what every device has whole."""
    return NamedSharding(mesh, P())


def split(mesh: Mesh, shapes: Any) -> Any:
    """Of parameters and optimizer state: the axis before the last, where the mesh divides it."""

    def placed(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        fits = leaf.ndim >= 2 and leaf.shape[-2] % mesh.shape["fsdp"] == 0
        return NamedSharding(mesh, P(*[None] * (leaf.ndim - 2), "fsdp") if fits else P())

    return jax.tree.map(placed, shapes)


def by_rows(x: Array, mesh: Mesh) -> Array:
    """Keep an activation split by its rows, so that no compiler's choice moves it."""
    kept: Array = lax.with_sharding_constraint(x, rows(mesh))
    return kept


def gathered(params: Any, mesh: Mesh) -> Any:
    """Parameters whole on each device, for as long as they are used."""
    return lax.with_sharding_constraint(params, replicated(mesh))
