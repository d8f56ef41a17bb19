"""Each workload computes, and over many devices the same as on one: 16 CPU devices, in a child."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad import workloads

RUN = """
import importlib, json, sys
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh
from jaxpad import workloads

def draw(rng, like):
    ints = like.dtype == jnp.int32
    drawn = rng.integers(0, 8, like.shape) if ints else rng.normal(size=like.shape) * 0.1
    return jax.device_put(np.asarray(drawn, like.dtype), like.sharding)

def two_steps(name, mesh):
    module = importlib.import_module("jaxpad.workloads.programs." + name.partition("-")[0])
    program = module.program(mesh, module.TINY)
    rng = np.random.default_rng(7)
    args = jax.tree.map(lambda like: draw(rng, like), program.args)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, args[0])
    told, donated = [], jax.tree.leaves(args[0])
    for _ in range(2):
        state, told_now = program.jitted(*args)
        assert jax.tree.map(lambda leaf: leaf.sharding, state) == shardings or name == "decode"
        args = (state, *args[1:])
        told += np.ravel(told_now).astype(float).tolist()
    assert all(leaf.is_deleted() for leaf in donated)
    return told, [np.asarray(leaf) for leaf in jax.tree.leaves(state)]

def apart(one, other):
    return float(np.abs(one - other).max() / np.abs(other).max())

found = {}
for name in workloads.names():
    workload = workloads.load(name)
    mesh = workload.mesh(jax.devices()[: workload.count])
    told, state = two_steps(name, mesh)
    found[name] = {"told": told, "finite": all(np.isfinite(leaf).all().item() for leaf in state)}
    if workload.count > 1:
        alone = Mesh(np.reshape(jax.devices()[:1], (1,) * len(mesh.shape)), mesh.axis_names)
        told, expected = two_steps(name, alone)
        found[name] |= {"alone": told, "apart": max(map(apart, state, expected))}
json.dump(found, sys.stdout)
"""

XLA_FLAGS = (
    "--xla_force_host_platform_device_count=16",
    "--xla_backend_optimization_level=0",  # compiling takes longer than computing
    "--xla_llvm_disable_expensive_passes=true",
)


@pytest.fixture(scope="module")
def runs() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN],
        env=environ(JAX_PLATFORMS="cpu", XLA_FLAGS=" ".join(XLA_FLAGS)),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", workloads.names())
def test_finite(name: str, runs: dict[str, Any]) -> None:
    assert runs[name]["finite"]
    first, *_, last = runs[name]["told"]
    assert first != last  # the first step's update counts in the second


@pytest.mark.parametrize("name", [n for n in workloads.names() if workloads.load(n).count > 1])
def test_same_as_on_one_device(name: str, runs: dict[str, Any]) -> None:
    """Both losses, and of every weight and its velocity each element after two steps."""
    run = runs[name]
    assert run["told"] == pytest.approx(run["alone"], rel=1e-5)
    assert run["apart"] < 1e-4
