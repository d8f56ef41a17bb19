"""Compile one tiny program, so that XLA dumps the options it compiles with.

Standard output: how this process's XLA read XLA_FLAGS (serialised CompileOptions, in hex).
"""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
from jaxlib import xla_client


def jaxpad_probe(x: jax.Array) -> jax.Array:
    """The dump's files carry this name."""
    return x + 1


if __name__ == "__main__":
    jax.jit(jaxpad_probe).lower(jnp.float32(0)).compile()
    sys.stdout.write("\n" + xla_client.CompileOptions().SerializeAsString().hex())
