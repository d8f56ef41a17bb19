"""Throughput: how fast this device multiplies and moves, measured as JAX advises."""

from __future__ import annotations

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxpad.throughput import Copy, Gemm, measure as rate_of, sizes

DEVICE = jax.devices()[0]
DTYPE = jnp.bfloat16 if DEVICE.platform != "cpu" else jnp.float32
LABEL = f"{DEVICE.device_kind} ({DEVICE.platform})"


def assert_product(found: jax.Array, left: jax.Array, right: jax.Array) -> None:
    """`found` is left @ right, but for float32 sums and one rounding to its own dtype.

    The bound of a sum of n products, n u |left| @ |right|: Higham, Accuracy and Stability of
    Numerical Algorithms, section 3.1. It is far below one entry, about the square root of n.
    """
    x, y = np.asarray(left, np.float64), np.asarray(right, np.float64)
    sums = x.shape[1] * 2.0**-24 * (np.abs(x) @ np.abs(y))
    rounding = float(jnp.finfo(found.dtype).eps) * np.abs(x @ y)
    assert (np.abs(np.asarray(found, np.float64) - x @ y) <= sums + rounding).all()


def test_gemm_rate(measure: Callable[..., None]) -> None:
    """A matrix product runs at a steady rate, and its numbers are right."""
    side, _ = sizes(DEVICE)
    gemm = Gemm(side, DTYPE)
    left, right = gemm.operands()
    step = gemm.step(left, right)
    rate = rate_of(step, gemm.work)
    measure(
        f"GEMM {side} {jnp.dtype(DTYPE).name} on {LABEL}",
        rate.median,
        "GFLOP/s",
        spread=rate.spread,
    )
    assert_product(step()[:8], left[:8], right)
    assert rate.spread < rate.median, "the rate swings by more than itself: the device is disturbed"


def test_gemm_scales() -> None:
    """Eight times the work takes longer: the clock sees the product, not its dispatch.

    A timer that does not wait for the result reports the same time for any size.
    """
    side = sizes(DEVICE)[0] // 2
    small, large = (
        rate_of(gemm.step(*gemm.operands()), gemm.work)
        for gemm in (Gemm(side, DTYPE), Gemm(2 * side, DTYPE))
    )
    assert large.seconds > 2 * small.seconds


def test_copy_rate(measure: Callable[..., None]) -> None:
    """A vector larger than the caches moves at a steady rate, and arrives whole."""
    _, size = sizes(DEVICE)
    copy = Copy(size)
    vector = copy.operand()
    step = copy.step(vector)
    rate = rate_of(step, copy.work)
    measure(f"copy {size >> 20} MiB on {LABEL}", rate.median, "GB/s", spread=rate.spread)
    assert bool(jnp.all(step() + vector == 0))
    assert rate.spread < rate.median, "the rate swings by more than itself: the device is disturbed"


def test_wait_matters() -> None:
    """JAX returns before the device is done: a time without the wait is no rate."""
    gemm = Gemm(sizes(DEVICE)[0], DTYPE)
    step = gemm.step(*gemm.operands())
    waited = rate_of(step, 1.0).seconds
    begun = time.perf_counter()
    result = step()
    dispatched = time.perf_counter() - begun
    result.block_until_ready()
    assert dispatched < waited / 2
