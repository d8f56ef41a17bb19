"""conv: a training step of a small residual convolutional network on one GPU."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh

from jaxpad.workloads.model import Program
from jaxpad.workloads.programs._models import Layers, cross_entropy, struct, training_step


@dataclass(frozen=True)
class Sizes:
    """Of the images and the network: `channels` after the first convolution."""

    batch: int = 64
    side: int = 112
    channels: int = 64
    classes: int = 1000
    dtype: str = "bfloat16"


FULL = Sizes()
TINY = Sizes(batch=4, side=8, channels=8, classes=10, dtype="float32")


def program(mesh: Mesh, sizes: Sizes = FULL) -> Program:
    """Images are (batch, side, side, 3), labels (batch,) in int32.

    Params are kernels (height, width, channels in, channels out), a bias (channels out,) for
    each, and the classifier's matrix `head` (channels, classes).
    """
    wide = sizes.channels
    shapes = {
        "stem": (7, 7, 3, wide),
        "down": (3, 3, wide, 2 * wide),
        "last": (3, 3, 2 * wide, 2 * wide),
        "skip": (1, 1, wide, 2 * wide),
    }
    params = {
        "kernels": {name: struct(mesh, shape, sizes.dtype) for name, shape in shapes.items()},
        "biases": {name: struct(mesh, shape[-1:], sizes.dtype) for name, shape in shapes.items()},
        "ends": {"head": struct(mesh, (2 * wide, sizes.classes), sizes.dtype)},
    }
    images = struct(mesh, (sizes.batch, sizes.side, sizes.side, 3), sizes.dtype)
    return training_step(_loss, params, images, struct(mesh, (sizes.batch,), jnp.int32))


def _loss(params: dict[str, Layers], images: jax.Array, labels: jax.Array) -> jax.Array:
    def conv(x: jax.Array, name: str, stride: int) -> jax.Array:
        kernel, bias = params["kernels"][name], params["biases"][name]
        return _conv(x, kernel, stride) + bias

    x = jax.nn.relu(conv(images, "stem", 2))
    inner = jax.nn.relu(conv(x, "down", 2))
    x = jax.nn.relu(conv(inner, "last", 1) + conv(x, "skip", 2))
    return cross_entropy(jnp.mean(x, axis=(1, 2)) @ params["ends"]["head"], labels)


def _conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=layout)
