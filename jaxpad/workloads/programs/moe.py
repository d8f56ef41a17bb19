"""moe: mixture of experts; each GPU holds some experts, and an all-to-all takes tokens there.

Each token goes to the expert its router likes best, as far as that expert has room (Switch
Transformer, https://arxiv.org/abs/2101.03961); a second all-to-all brings it back.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs._models import Layers, squared_error, struct, training_step


@dataclass(frozen=True)
class Sizes:
    """Of the layers: `room` is how many times its even share of tokens an expert takes."""

    layers: int = 2
    experts: int = 16
    width: int = 2048
    hidden: int = 8192
    tokens: int = 32768
    room: int = 1
    dtype: str = "bfloat16"


FULL = Sizes()
TINY = Sizes(experts=8, width=32, hidden=64, tokens=64, room=8, dtype="float32")


def program(mesh: Mesh, sizes: Sizes = FULL) -> Program:
    """Tokens and experts are sharded over the one axis `expert`.

    x is (tokens, width). Params are {router: (layers, width, experts), up: (layers, experts,
    width, hidden), down: (layers, experts, hidden, width)}.
    """
    tokens, experts = PartitionSpec("expert"), PartitionSpec(None, "expert")

    def inside(params: Layers, x: jax.Array, target: jax.Array) -> jax.Array:
        def body(x: jax.Array, layer: Layers) -> tuple[jax.Array, None]:
            return x + _experts(x, layer, sizes), None

        mean: jax.Array = lax.pmean(squared_error(lax.scan(body, x, params)[0], target), "expert")
        return mean

    def loss(params: Layers, x: jax.Array, target: jax.Array) -> jax.Array:
        where = {"router": PartitionSpec(), "up": experts, "down": experts}
        mapped = jax.shard_map(
            inside, mesh=mesh, in_specs=(where, tokens, tokens), out_specs=PartitionSpec()
        )
        value: jax.Array = mapped(params, x, target)
        return value

    x = struct(mesh, (sizes.tokens, sizes.width), sizes.dtype, "expert")
    return training_step(loss, _params(mesh, sizes), x, x)


def _params(mesh: Mesh, sizes: Sizes) -> dict[str, jax.ShapeDtypeStruct]:
    up = (sizes.layers, sizes.experts, sizes.width, sizes.hidden)
    down = (sizes.layers, sizes.experts, sizes.hidden, sizes.width)
    return {
        "router": struct(mesh, (sizes.layers, sizes.width, sizes.experts), sizes.dtype),
        "up": struct(mesh, up, sizes.dtype, None, "expert"),
        "down": struct(mesh, down, sizes.dtype, None, "expert"),
    }


def _experts(x: jax.Array, layer: Layers, sizes: Sizes) -> jax.Array:
    """One layer for this GPU's tokens, (tokens / GPUs, width)."""
    expert, place, weight = _route(x, layer["router"])
    room = (sizes.experts, len(x) * sizes.room // sizes.experts, sizes.width)
    sent = jnp.zeros(room, x.dtype).at[expert, place].set(x, mode="drop", unique_indices=True)
    here = lax.all_to_all(sent, "expert", split_axis=0, concat_axis=1, tiled=True)
    hidden = jax.nn.gelu(jnp.einsum("ecd,edh->ech", here, layer["up"]))
    done = jnp.einsum("ech,ehd->ecd", hidden, layer["down"])
    back = lax.all_to_all(done, "expert", split_axis=1, concat_axis=0, tiled=True)
    taken: jax.Array = back.at[expert, place].get(mode="fill", fill_value=0) * weight[:, None]
    return taken


def _route(x: jax.Array, router: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Each token's expert, its place among that expert's tokens, and its weight: (tokens,)."""
    likes = jax.nn.softmax((x @ router).astype(jnp.float32))
    expert = jnp.argmax(likes, axis=-1)
    chosen = jax.nn.one_hot(expert, likes.shape[-1], dtype=jnp.int32)
    place = jnp.sum((jnp.cumsum(chosen, axis=0) - 1) * chosen, axis=-1)
    return expert, place, jnp.max(likes, axis=-1).astype(x.dtype)
