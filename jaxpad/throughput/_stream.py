"""copy and triad: memory bandwidth, by the vectors of McCalpin's STREAM.

https://www.cs.virginia.edu/stream/ref.html counts the bytes that a kernel must move: each
vector once. Vectors are larger than the caches, so that is what the memory does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxpad.throughput._program import Answer, Program, differs
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs._train import struct

_EPSILON = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Copy(Program):
    """A float32 vector of `size` bytes, read once and written once with its sign turned.

    XLA could elide a plain copy; turning the sign moves the same bytes.
    """

    size: int

    name = "copy"
    unit = "GB/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return "fp32"

    @property
    def intensity(self) -> float:
        """A sign turned, for 4 bytes in and 4 out."""
        return 1 / 8

    @property
    def work(self) -> float:
        """GB of one call: read once, written once."""
        return 2 * self.size / 1e9

    def build(self, mesh: Mesh) -> Built:
        """A vector (size / 4,) in float32."""
        return Built(jax.jit(jnp.negative), (struct(mesh, (self.size // 4,), jnp.float32),))

    def wrong(self, answer: Answer) -> str:
        """Every element, exactly."""
        return differs(answer.result, -answer.operands[0], 0.0)


@dataclass(frozen=True)
class Triad(Program):
    """a = b + s c, float32 vectors of `size` bytes: two read, one written."""

    size: int

    name = "triad"
    unit = "GB/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return "fp32"

    @property
    def intensity(self) -> float:
        """A multiply-add, for 8 bytes in and 4 out."""
        return 2 / 12

    @property
    def work(self) -> float:
        """GB of one call: two vectors read, one written."""
        return 3 * self.size / 1e9

    def build(self, mesh: Mesh) -> Built:
        """Vectors b and c (size / 4,) and the scalar s, all float32."""
        vector, scalar = (struct(mesh, shape, jnp.float32) for shape in ((self.size // 4,), ()))
        return Built(jax.jit(lambda b, c, s: b + s * c), (vector, vector, scalar))

    def wrong(self, answer: Answer) -> str:
        """Every element, but for rounding."""
        b, c, s = answer.operands
        return differs(answer.result, b + s * c, self.bound(answer))

    def bound(self, answer: Answer) -> Any:
        """Two roundings here, one where the GPU fuses them."""
        b, c, s = answer.operands
        return 2 * _EPSILON * (np.abs(b) + np.abs(s * c))
