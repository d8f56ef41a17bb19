"""Steps that the tests tune. What one does may depend on a flag that costs XLA nothing."""

from __future__ import annotations

import os
import re
import time
from typing import Any

import jax
import jax.numpy as jnp

FLAG = "xla_dump_max_hlo_modules"  # without xla_dump_to it does nothing at all
ROUNDS = 1500


def told() -> int:
    """The value of FLAG that this process was started with, 0 without one."""
    found = re.findall(rf"--{FLAG}=(\d+)", os.environ.get("XLA_FLAGS", ""))
    return int(found[-1]) if found else 0


def planted(_mesh: Any) -> Any:
    """Values 1 to 99: another program of the same speed. 100: a tenth less work."""
    rounds = ROUNDS - ROUNDS // 10 if told() == 100 else ROUNDS
    extra = 0.0 if told() == 100 else float(told())

    def step(x: jax.Array, unused: jax.Array) -> Any:
        x = jax.lax.fori_loop(0, rounds, lambda _, x: jnp.tanh(0.5 * x + 0.1), x)
        return x, unused * 0 + extra * 0

    return jax.jit(step), (_struct(512), _struct(1))


def wrong(_mesh: Any) -> Any:
    """Other numbers under the flag."""
    shift = 1.0 if told() else 0.0
    return jax.jit(lambda x: jnp.cos(x) + shift), (_struct(64),)


def crash(_mesh: Any) -> Any:
    """Ends its process under the flag."""
    if told():
        os.abort()
    return jax.jit(jnp.cos), (_struct(64),)


def raises(_mesh: Any) -> Any:
    """Fails when it runs."""

    def fail(_x: Any) -> Any:
        raise OSError("no such tape")

    def step(x: jax.Array) -> Any:
        return jax.pure_callback(fail, jax.ShapeDtypeStruct((64,), jnp.float32), x)

    return jax.jit(step), (_struct(64),)


def nothing(_mesh: Any) -> Any:
    """Returns no array."""
    return jax.jit(lambda _x: ()), (_struct(64),)


def moody(_mesh: Any) -> Any:
    """Other numbers with every call."""

    def ask(_x: Any) -> Any:
        import numpy as np

        return np.full(64, time.monotonic_ns() % 1000003, np.float32)

    def step(x: jax.Array) -> Any:
        return jax.pure_callback(ask, jax.ShapeDtypeStruct((64,), jnp.float32), x)

    return jax.jit(step), (_struct(64),)


def slow(_mesh: Any) -> Any:
    """Takes longer than the test's effort allows."""

    def wait(x: Any) -> Any:
        time.sleep(0.3)
        return x

    def step(x: jax.Array) -> Any:
        return jax.pure_callback(wait, jax.ShapeDtypeStruct((64,), jnp.float32), x)

    return jax.jit(step), (_struct(64),)


def donating(_mesh: Any) -> Any:
    """A state that is given away and comes back, integers among the arguments."""

    def step(state: Any, labels: jax.Array) -> Any:
        new = {"w": state["w"] * 0.5 + labels.sum(), "n": state["n"]}
        return new, new["w"].sum()

    args = (
        {"w": _struct(64), "n": _struct(64, jnp.bfloat16)},
        _struct(8, jnp.int32),
    )
    return jax.jit(step, donate_argnums=0), args


def _struct(size: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.ShapeDtypeStruct((size,), dtype, sharding=one)
