"""Rates of a JAX program: warm-up, median and spread, the wait included.

Method: https://docs.jax.dev/en/latest/benchmarking.html (compile first, then wait for
each result with block_until_ready, since JAX returns before the device is done).
Operands are normally distributed: zeros and ones make GPUs draw less power and clock
higher, which flatters the rate.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

_TILE = 1 << 20  # drawing every element would take longer than the measurement
WARM_UP = 3  # calls before the timed ones, the compiling one included


@dataclass(frozen=True)
class Rate:
    """How fast a program ran: work per second over several calls."""

    median: float  # in units of work per second
    spread: float  # interquartile range, same unit
    seconds: float  # median time of one call
    samples: int


def measure(step: Callable[[], Any], work: float, *, samples: int = 10, least: float = 0.3) -> Rate:
    """Time `step` at least `samples` times and for `least` seconds in all.

    `work` is what one call does, in the unit the rate is wanted in (1e9 operations
    give GFLOP/s). `step` returns JAX arrays, which are waited for.
    """
    for _ in range(WARM_UP):
        jax.block_until_ready(step())
    times: list[float] = []
    while len(times) < samples or sum(times) < least:
        begun = time.perf_counter()
        jax.block_until_ready(step())
        times.append(time.perf_counter() - begun)
    rates = [work / seconds for seconds in times]
    lower, _, upper = statistics.quantiles(rates, n=4)
    return Rate(statistics.median(rates), upper - lower, statistics.median(times), len(times))


@dataclass(frozen=True)
class Gemm:
    """A square matrix product, n by n, in `dtype`."""

    n: int
    dtype: Any

    @property
    def work(self) -> float:
        """GFLOP of one call: n**3 multiplications and as many additions."""
        return 2 * self.n**3 / 1e9

    def operands(self) -> tuple[jax.Array, jax.Array]:
        """Two normally distributed matrices, the same ones each time."""
        left, right = jax.random.split(jax.random.key(0))
        shape = (self.n, self.n)
        return (
            jax.random.normal(left, shape, self.dtype),
            jax.random.normal(right, shape, self.dtype),
        )

    def step(self, left: jax.Array, right: jax.Array) -> Callable[[], jax.Array]:
        """A compiled product of `left` and `right`."""
        product = jax.jit(jnp.matmul).lower(left, right).compile()
        return lambda: product(left, right)


@dataclass(frozen=True)
class Copy:
    """A vector of `size` bytes (a multiple of 4 MiB) read and written once, with the sign turned.

    A plain copy could be elided; negating moves the same bytes.
    """

    size: int

    @property
    def work(self) -> float:
        """GB of one call: read once, written once."""
        return 2 * self.size / 1e9

    def operand(self) -> jax.Array:
        """The float32 vector: a normally distributed tile, repeated."""
        tile = jax.random.normal(jax.random.key(0), (_TILE,), jnp.float32)
        return jnp.tile(tile, self.size // 4 // _TILE)

    def step(self, vector: jax.Array) -> Callable[[], jax.Array]:
        """A compiled pass over `vector`."""
        negate = jax.jit(jnp.negative).lower(vector).compile()
        return lambda: negate(vector)


def sizes(device: jax.Device) -> tuple[int, int]:
    """GEMM side and copy bytes for a device: large enough to fill it, small enough to fit.

    A GPU gets 8192 and 1 GiB, less where a tenth of its memory is less; a CPU gets 1024
    and 128 MiB, which is beyond the last-level cache that one core complex shares.
    """
    if device.platform == "cpu":
        return 1024, 128 << 20
    limit = (device.memory_stats() or {}).get("bytes_limit", 16 << 30)
    copy = min(1 << 30, limit // 10 // (4 * _TILE) * (4 * _TILE))
    return (8192 if copy == 1 << 30 else 4096), copy
