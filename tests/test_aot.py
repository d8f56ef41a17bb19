"""Compile for every described GPU on a machine that has none.

In children: JAX_PLATFORMS=cpu must be set before JAX starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad import gpus

MATMUL = """
import json, sys
import jax, jax.numpy as jnp
from jaxpad import gpus
from jaxpad.schedule import aot
from jaxpad.core.results import UsageError

product = jax.jit(lambda x, y: jnp.tanh(x @ y))  # tanh needs libdevice, its kernel ptxas
x = jax.ShapeDtypeStruct((256, 256), jnp.float16)
told = {}
for name in gpus.names():
    try:
        compiled = aot.compile_for(gpus.load(name), product, (x, x))
        told[name] = {"text": compiled.as_text(), "temp": compiled.memory_analysis() is not None}
    except UsageError as error:
        told[name] = {"refused": str(error)}
json.dump(told, sys.stdout)
"""

FSDP = """
import json, sys
import jax, jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec as P
from jaxpad import gpus
from jaxpad.schedule import aot

def loss(weights, batch):
    layer = lambda x, w: (jnp.tanh(x @ w), None)
    return jnp.mean(jax.lax.scan(layer, batch, weights)[0].astype(jnp.float32))

def struct(mesh, shape, *spec):
    return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=NamedSharding(mesh, P(*spec)))

told = {}
step = jax.jit(jax.grad(loss))
for name, shape in (("h100-sxm", 8), ("b200", "1x2x4")):
    gpu = gpus.load(name)
    described = aot.topology(gpu, shape)
    mesh = topologies.make_mesh(described, (8,), ("x",))
    args = struct(mesh, (4, 1024, 1024), None, "x"), struct(mesh, (64, 1024), "x")
    texts = [
        aot.compile_for(gpu, step, args, devices=described, compiler_options=options).as_text()
        for options in ({}, {"xla_gpu_enable_while_loop_double_buffering": True})
    ]
    told[name] = texts
json.dump(told, sys.stdout)
"""

REFUSALS = """
import dataclasses, json, sys
import jax, jax.numpy as jnp
from jaxpad import flags, gpus
from jaxpad.schedule import aot
from jaxpad.core.results import UsageError

def refusal(work):
    try:
        work()
    except UsageError as error:
        return str(error)

gpu, other = gpus.load("l4"), gpus.load("h100-sxm")
figures = dict(gpu.target.figures) | {"core_count": 1 << 40}
bad = dataclasses.replace(gpu, target=dataclasses.replace(gpu.target, figures=figures))
x = jax.ShapeDtypeStruct((8,), jnp.float32)
on_other = jax.ShapeDtypeStruct(
    (8,), jnp.float32, sharding=jax.sharding.SingleDeviceSharding(aot.topology(other).devices[0])
)
double = jax.jit(lambda x: x + x)
told = {
    "shape": refusal(lambda: aot.topology(gpu, "8")),
    "none": refusal(lambda: aot.topology(gpu, 0)),
    "target": refusal(lambda: aot.topology(bad)),
    "arguments": refusal(lambda: aot.compile_for(gpu, jax.jit(lambda: jnp.zeros(8)), ())),
    "elsewhere": refusal(lambda: aot.compile_for(gpu, double, (on_other,))),
}
try:
    aot.compile_for(gpu, double, (x,), compiler_options={"xla_gpu_bogus": 1})
except jax.errors.JaxRuntimeError as error:
    told["option"] = str(error)
flags.plugin_library = lambda: None
told["plugin"] = refusal(lambda: aot.topology(gpu))
json.dump(told, sys.stdout)
"""


def child(script: str) -> dict[str, Any]:
    """What a script prints as JSON, run where no GPU is looked for."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env=environ(JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def products() -> dict[str, Any]:
    return child(MATMUL)


@pytest.mark.parametrize("name", gpus.names())
def test_matmul(name: str, products: dict[str, Any]) -> None:
    told = products[name]
    if "refused" in told:
        # CUDA 13's ptxas, from a toolkit on this machine, where proof.txt's is not installed
        assert "ptxas too old); install requirements/proof.txt" in told["refused"]
        assert gpus.load(name).compute_capability == "7.0"
        pytest.skip(told["refused"])
    assert told["temp"]
    assert "is_scheduled=true" in told["text"]
    assert "__triton" in told["text"] or "__cublas" in told["text"]


def test_fsdp() -> None:
    for name, (plain, doubled) in child(FSDP).items():
        assert "num_partitions=8" in plain, name
        assert "all-gather-start" in plain, name
        assert "reduce-scatter" in plain or "all-reduce" in plain, name
        assert plain != doubled, name
        assert doubled.count("all-gather-start") > plain.count("all-gather-start"), name


def test_refusals() -> None:
    told = child(REFUSALS)
    assert told["shape"].startswith("'8' is no set of devices, expected a number above 0 or")
    assert told["none"].startswith("0 is no set of devices")
    assert f"{gpus.FOLDER / 'l4.toml'}: [target]: XLA refuses it (" in told["target"]
    assert "sharded over NVIDIA H100 80GB HBM3, expected NVIDIA L4" in told["elsewhere"]
    assert told["arguments"].startswith("a function of no arguments is not compiled for l4")
    assert "xla_gpu_bogus" in told["option"]
    assert told["plugin"].endswith("is not installed; install requirements/proof.txt")
    assert not any("\n" in str(sentence) for key, sentence in told.items() if key != "option")
