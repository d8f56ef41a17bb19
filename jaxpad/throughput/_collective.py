"""all_reduce, all_gather, reduce_scatter, all_to_all, permute: as nccl-tests counts them.

The bus bandwidth (busbw) is what a link would have to carry for a ring to take this long,
so that it compares with the hardware whatever the number of devices:
https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from jaxpad.throughput._program import AXIS, Answer, Program, Step, built, differs
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs._train import struct

KINDS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "permute")
_EPSILON = float(np.finfo(np.float32).eps)


def bus_factor(kind: str, devices: int) -> float:
    """Busbw over size / time: 2 (n-1) / n for all_reduce, 1 for permute, else (n-1) / n."""
    if kind == "permute":  # sendrecv: what is sent is what a link carries
        return 1.0
    return (2 if kind == "all_reduce" else 1) * (devices - 1) / devices


@dataclass(frozen=True)
class Collective(Program):
    """One collective of float32 over all `devices`, `size` bytes as nccl-tests count them.

    That is what one device puts in; of an all_gather, what it gets.
    """

    kind: str
    size: int
    devices: int

    unit = "GB/s"
    spans = True

    @property
    def name(self) -> str:  # type: ignore[override]
        """The kind."""
        return self.kind

    @property
    def variant(self) -> str:
        """The size in words."""
        return words(self.size)

    @property
    def work(self) -> float:
        """GB on the bus for one call."""
        return self.size * bus_factor(self.kind, self.devices) / 1e9

    def build(self, mesh: Mesh) -> Built:
        """One array (devices, what one puts in / 4), a row for each device; so is the result.

        An all_reduce donates it: XLA's works in place, and would copy it first.
        """
        rows = PartitionSpec(AXIS)
        one = _ONE[self.kind]
        mapped = jax.shard_map(
            lambda x: one(x[0], self.devices)[None], mesh=mesh, in_specs=rows, out_specs=rows
        )
        shape = (self.devices, self._elements())
        donated = (0,) if self.kind == "all_reduce" else ()
        jitted = jax.jit(mapped, donate_argnums=donated)
        return Built(jitted, (struct(mesh, shape, jnp.float32, AXIS),))

    def step(self, mesh: Mesh) -> Step:
        """The same buffers again and again, as nccl-tests: what is timed is the links.

        An all_reduce goes on from its own result, which grows, and starts anew before it
        overflows; the copy that takes is one of dozens of calls.
        """
        jitted = built(self, mesh).jitted
        (first,) = self.operands(mesh, 0)
        if self.kind != "all_reduce":
            return lambda _: jitted(first)
        afresh = jax.jit(jnp.copy)
        last, held = int(100 / math.log2(self.devices)), [first]

        def call(number: int) -> Any:
            held[0] = jitted(afresh(first) if number % last == 0 else held[0])
            return held[0]

        return call

    def answer(self, mesh: Mesh) -> Answer:
        """Of a message of 64 MiB at most: the host holds what all devices got, twice."""
        return Program.answer(replace(self, size=min(self.size, 64 << 20)), mesh)

    def wrong(self, answer: Answer) -> str:
        """Every element on every device, but for the rounding of sums."""
        for device, (result, expected) in enumerate(
            zip(answer.result, self._expected(answer.operands[0]), strict=True)
        ):
            said = differs(result, expected, self.bound(answer))
            if said:
                return f"on device {device} of {self.devices}, {said}"
        return ""

    def bound(self, answer: Answer) -> Any:
        """A sum of as many terms as there are devices; other kinds only move."""
        if self.kind not in ("all_reduce", "reduce_scatter"):
            return 0.0
        return self.devices * _EPSILON * float(np.abs(answer.operands[0]).sum(axis=0).max())

    def _elements(self) -> int:
        return self.size // 4 // (self.devices if self.kind == "all_gather" else 1)

    def _expected(self, x: np.ndarray[Any, Any]) -> Any:
        if self.kind == "all_gather":
            return [x.reshape(-1)] * self.devices
        if self.kind == "permute":
            return np.roll(x, 1, axis=0)
        if self.kind == "all_to_all":
            parts = x.reshape(self.devices, self.devices, -1)
            return parts.swapaxes(0, 1).reshape(self.devices, -1)
        total = x.sum(axis=0)
        if self.kind == "all_reduce":
            return [total] * self.devices
        return total.reshape(self.devices, -1)


def words(size: int) -> str:
    """Bytes as people say them: 1 MiB, 64 MiB, 1 GiB."""
    return f"{size >> 30} GiB" if size % (1 << 30) == 0 else f"{size >> 20} MiB"


def _ring(x: jax.Array, devices: int) -> jax.Array:
    pairs = [(one, (one + 1) % devices) for one in range(devices)]
    turned: jax.Array = lax.ppermute(x, AXIS, pairs)
    return turned


_ONE: dict[str, Callable[[jax.Array, int], jax.Array]] = {
    "all_reduce": lambda x, _: lax.psum(x, AXIS),
    "all_gather": lambda x, _: lax.all_gather(x, AXIS, tiled=True),
    "reduce_scatter": lambda x, _: lax.psum_scatter(x, AXIS, tiled=True),
    "all_to_all": lambda x, _: lax.all_to_all(x, AXIS, 0, 0, tiled=True),
    "permute": _ring,
}
