"""attention: `jax.nn.dot_product_attention`, as XLA compiles it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxpad.throughput._gemm import OPERANDS
from jaxpad.throughput._program import Answer, Program, differs
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs._train import struct


@dataclass(frozen=True)
class Attention(Program):
    """Every query sees every key: q, k, v (batch, sequence, heads, depth) in `dtype`.

    XLA's own form, which keeps the scores in memory: JAX's default, and the one that can be
    compiled, and so read, without a GPU. cuDNN's fused form (implementation="cudnn") is
    faster; a rate here is no bound on it.
    """

    dtype: str
    batch: int
    sequence: int
    heads: int = 16
    depth: int = 128

    name = "attention"
    unit = "TFLOP/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return self.dtype

    @property
    def work(self) -> float:
        """TFLOP of one call: two products of 2 sequence**2 depth for each head, no softmax.

        https://arxiv.org/abs/2307.08691, section 4.1, counts alike.
        """
        return 4 * self.batch * self.heads * self.sequence**2 * self.depth / 1e12

    @property
    def intensity(self) -> float:
        """FLOP a byte where q, k and v are read once, the result written once, no scores."""
        return float(self.sequence / jnp.dtype(OPERANDS[self.dtype]).itemsize)

    def build(self, mesh: Mesh) -> Built:
        """q, k and v."""
        shape = (self.batch, self.sequence, self.heads, self.depth)
        args = (struct(mesh, shape, OPERANDS[self.dtype]),) * 3
        return Built(jax.jit(jax.nn.dot_product_attention), args)

    def wrong(self, answer: Answer) -> str:
        """The first and the last head, held to attention in float64."""
        for place in ((0, slice(None), 0), (-1, slice(None), -1)):
            q, k, v = (one[place].astype(np.float64) for one in answer.operands)
            shares = np.exp(q @ k.T / self.depth**0.5)
            shares /= shares.sum(axis=-1, keepdims=True)
            result = answer.result[place].astype(np.float64)
            said = differs(result, shares @ v, 2 * self._unit * (shares @ np.abs(v)))
            if said:
                return f"batch {place[0]}, head {place[2]}: {said}"
        return ""

    def bound(self, answer: Answer) -> Any:
        """Two devices' roundings: values are sums of shares that add up to 1."""
        return 2 * self._unit * np.abs(answer.operands[2].astype(np.float32)).max()

    @property
    def _unit(self) -> float:
        return float(jnp.finfo(OPERANDS[self.dtype]).eps)
