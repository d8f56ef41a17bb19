"""Read programs compiled for GPUs that are not there.

In children: JAX_PLATFORMS=cpu must be set before JAX starts.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad.flags import jaxlib_version

GPUS = ("h100-sxm", "a100-sxm-80")
MIB = 1 << 20

SETUP = """
import contextlib, json, sys, tempfile
from pathlib import Path
import jax, jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec as P
from jaxpad import gpus, schedule
from jaxpad.schedule import aot

gpu = gpus.load(sys.argv[1])

def struct(*shape, dtype=jnp.bfloat16):
    return jax.ShapeDtypeStruct(shape, dtype)

def read(jitted, *args, dump=True, devices=1, **options):
    with tempfile.TemporaryDirectory() as folder:
        options |= {"xla_dump_to": folder} if dump else {}
        compiled = aot.compile_for(gpu, jitted, args, devices=devices, compiler_options=options)
        given = Path(folder) if dump else None
        return schedule.read(compiled.runtime_executable(), gpu, given, seconds=1.5)

def fsdp(step, **options):
    described = aot.topology(gpu, 8)
    mesh = topologies.make_mesh(described, (8,), ("x",))
    sharded = [NamedSharding(mesh, P(None, "x")), NamedSharding(mesh, P("x"))]
    args = [
        jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)
        for shape, sharding in zip([(4, 1024, 1024), (64, 1024)], sharded)
    ]
    return read(jax.jit(jax.grad(step)), *args, devices=described, **options)

def loss(weights, batch):
    layer = lambda x, w: (jnp.tanh(x @ w), None)
    return jnp.mean(jax.lax.scan(layer, batch, weights)[0].astype(jnp.float32))
"""

# The same program under other names, on other lines.
RENAMED = """
def another_name(first, second):
    def inner(carried, parameters):
        product = carried @ parameters
        return jnp.tanh(product), None
    result, _ = jax.lax.scan(inner, second, first)
    return jnp.mean(result.astype(jnp.float32))

json.dump(fsdp(another_name).to_json(), sys.stdout)
"""

PROGRAMS = """
def conv(x, k):
    return jax.lax.conv_general_dilated(
        x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ).sum()

def double(xs):
    return [2 * x for x in xs]

image, kernel = struct(8, 32, 32, 64), struct(3, 3, 64, 64)
scattered = struct(65536), struct(9, dtype=jnp.int32)
square, long = struct(1024, 1024), struct(4096, 4096, dtype=jnp.float32)
product = jax.jit(lambda x, y: x @ y)
told = {
    "matmul": read(product, square, square),
    "cublas": read(product, square, square, xla_gpu_enable_triton_gemm=False),
    "softmax": read(jax.jit(jax.nn.softmax), long),
    "sums": read(jax.jit(lambda x: (x.sum(0), x.T + 1)), long),
    "conv": read(jax.jit(jax.grad(conv, argnums=(0, 1))), image, kernel),
    "scatter": read(jax.jit(lambda x, i: x.at[i].add(1)), *scattered),
    "fft": read(jax.jit(jnp.fft.fft), struct(4096, dtype=jnp.complex64)),
    "donated": read(jax.jit(double, donate_argnums=0), [long]),
    "huge": read(jax.jit(double), [struct(1 << 34)] * 2),
}
plain = told["fsdp"] = fsdp(loss)
others = {
    "again": fsdp(loss),
    "no dump": fsdp(loss, dump=False),
    "command buffers": fsdp(loss, xla_gpu_enable_command_buffer=""),
    "latency hiding": fsdp(loss, xla_gpu_enable_latency_hiding_scheduler=True),
    "no latency hiding": fsdp(loss, xla_gpu_enable_latency_hiding_scheduler=False),
    "double buffering": fsdp(loss, xla_gpu_enable_while_loop_double_buffering=True),
    "programmatic launch": fsdp(loss, xla_gpu_enable_pdl=False),
    "autotuner": fsdp(loss, xla_gpu_experimental_enable_fusion_autotuner=False),
}

def reduced(**options):  # two sums that one all-reduce may carry
    described = aot.topology(gpu, 8)
    mesh = topologies.make_mesh(described, (8,), ("x",))
    split, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
    sums = jax.jit(lambda x, y: (x.sum(0), y.sum(0)), out_shardings=whole)
    args = [jax.ShapeDtypeStruct((8, size), jnp.float32, sharding=split) for size in (4096, 8192)]
    return read(sums, *args, devices=described, **options)

together, apart = reduced(), reduced(xla_gpu_all_reduce_combine_threshold_bytes=1)
def held(one, other):
    return {"same": schedule.same(one, other), "changes": schedule.compare(one, other)}

json.dump({
    "programs": {name: program.to_json() for name, program in told.items()},
    "against": {name: held(plain, program) for name, program in others.items()},
    "read": {name: program.to_json() for name, program in others.items()},
    "triton": held(told["cublas"], told["matmul"]),
    "threshold": held(together, apart),
    "no dump twice": held(others["no dump"], others["no dump"]),
}, sys.stdout)
"""


def child(script: str, gpu: str) -> dict[str, Any]:
    """What a script prints as JSON, run where no GPU is looked for."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETUP + script, gpu],
        env=environ(JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        timeout=240,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module", params=GPUS)
def told(request: pytest.FixtureRequest) -> dict[str, Any]:
    with ThreadPoolExecutor(2) as pool:
        whole = pool.submit(child, PROGRAMS, request.param)
        renamed = pool.submit(child, RENAMED, request.param)
        return whole.result() | {"renamed": renamed.result(), "gpu": request.param}


def kernels(told: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in told["programs"][name]["kernels"]}


def test_matmul(told: dict[str, Any]) -> None:
    program = told["programs"]["matmul"]
    size, flops = 1024 * 1024 * 2, 2 * 1024**3
    assert kernels(told, "matmul") == {
        "Triton GEMM": {
            "kind": "Triton GEMM",
            "count": 1,
            "asynchronous": 0,
            "runs": 1,
            "flops": flops,
            "bytes": 3 * size,
        }
    }
    memory = program["memory"]
    assert (memory["arguments"], memory["outputs"], memory["aliased"]) == (2 * size, size, 0)
    assert memory["temporaries"] == 0
    assert memory["code"] > 0
    assert memory["total"] == 3 * size + memory["code"]
    assert memory["fits"] is True
    peak = {"h100-sxm": 989e12, "a100-sxm-80": 312e12}[told["gpu"]]
    assert program["overlap"]["compute"] == pytest.approx(flops / peak)
    assert program["overlap"]["communication"] == 0
    assert program["thunks"]["emitted"] == {"custom_kernel": 1}
    assert program["seconds"] == 1.5


def test_kernels(told: dict[str, Any]) -> None:
    assert kernels(told, "cublas").keys() & {"cuBLAS call", "cuBLASLt call"}
    assert kernels(told, "softmax").keys() & {"Triton fusion", "reduction fusion"}
    assert kernels(told, "sums").keys() == {"reduction fusion", "transpose"}
    assert "scatter" in kernels(told, "scatter")
    assert kernels(told, "fft")["fft"]["flops"] is None
    assert told["programs"]["fft"]["overlap"]["compute"] is None
    convolutions = kernels(told, "conv")
    (library,) = convolutions.keys() & {"cuDNN call", "cuDNN fusion"}
    gradient = 2 * (8 * 32 * 32 * 64) * (3 * 3 * 64)  # results x window x features
    assert convolutions[library]["count"] == 2
    assert convolutions[library]["flops"] == 2 * gradient


def test_cublas_counts_like_triton(told: dict[str, Any]) -> None:
    (call,) = (one for one in kernels(told, "cublas").values() if "cuBLAS" in one["kind"])
    assert (call["flops"], call["bytes"]) == (2 * 1024**3, 3 * 1024 * 1024 * 2)
    (first, *_) = told["triton"]["changes"]
    assert told["triton"]["same"] == "no"
    assert first == f"Triton GEMM instead of {call['kind']} (1)"


def test_donation(told: dict[str, Any]) -> None:
    memory = told["programs"]["donated"]["memory"]
    size = 4096 * 4096 * 4
    assert (memory["arguments"], memory["outputs"], memory["aliased"]) == (size, size, size)
    assert memory["total"] == size + memory["temporaries"] + memory["code"]


def test_does_not_fit(told: dict[str, Any]) -> None:
    memory = told["programs"]["huge"]["memory"]
    assert memory["arguments"] == 2 * 2 * (1 << 34)
    assert memory["outputs"] == memory["arguments"] + 2 * 8  # the tuple of two pointers
    assert memory["available"] == 80 * 10**9
    assert memory["fits"] is False


def test_collectives(told: dict[str, Any]) -> None:
    found = told["programs"]["fsdp"]["collectives"]
    assert {one["kind"] for one in found} == {"all-gather", "all-reduce"}
    for one in found:
        assert (one["bytes"], one["group"], one["loops"], one["runs"]) == (2 * MIB, 8, [4], 4)
        rounds = 2 if one["kind"] == "all-reduce" else 1
        assert one["sent"] == rounds * one["bytes"] * 7 // 8
        bandwidth = {"h100-sxm": 450e9, "a100-sxm-80": 300e9}[told["gpu"]]
        assert one["seconds"] == pytest.approx(one["sent"] / bandwidth)
        assert one["asynchronous"] or not one["between"]["kernels"]


def test_overlap_of_latency_hiding(told: dict[str, Any]) -> None:
    hidden = told["read"]["latency hiding"]
    if told["gpu"] == "a100-sxm-80":
        assert any(one["between"]["kernels"] for one in hidden["collectives"])
        assert hidden["overlap"]["exposed"] < told["programs"]["fsdp"]["overlap"]["exposed"]


def test_digest_is_stable(told: dict[str, Any]) -> None:
    digest = told["programs"]["fsdp"]["digest"]
    assert all(part["digest"] for part in digest["parts"].values())
    assert told["against"]["again"] == {"same": "yes", "changes": []}
    assert told["renamed"]["digest"] == digest  # in another process, too


def test_no_dump_is_unknown(told: dict[str, Any]) -> None:
    digest = told["read"]["no dump"]["digest"]["parts"]
    assert digest["final thunks"]["digest"] is None
    assert "xla_dump_to" in digest["final thunks"]["why"]
    for found in (told["against"]["no dump"], told["no dump twice"]):
        assert found["same"] == "unknown"
        assert found["changes"] == ["unknown: final thunks could not be read"]


def test_command_buffers_are_in_the_thunks_alone(told: dict[str, Any]) -> None:
    parts, plain = (
        each["digest"]["parts"]
        for each in (told["read"]["command buffers"], told["programs"]["fsdp"])
    )
    assert [name for name in parts if parts[name] != plain[name]] == ["final thunks"]
    (change,) = told["against"]["command buffers"]["changes"]
    assert change.startswith("0 thunks in 0 command buffers instead of ")
    assert told["against"]["command buffers"]["same"] == "no"


def test_flags_that_change(told: dict[str, Any]) -> None:
    against = told["against"]
    assert against["double buffering"]["same"] == "no"
    assert "6 Triton GEMMs instead of 3" in against["double buffering"]["changes"]
    assert told["threshold"]["same"] == "no"
    assert "2 all-reduces outside loops instead of 1" in told["threshold"]["changes"]


def test_latency_hiding(told: dict[str, Any]) -> None:
    """On Hopper it is on already; on Ampere it is not."""
    on, off = told["against"]["latency hiding"], told["against"]["no latency hiding"]
    hopper = told["gpu"] == "h100-sxm"
    assert on["same"] == ("yes" if hopper else "no")
    known = jaxlib_version().startswith("0.10.") or not hopper
    assert off["same"] == ("yes" if known else "no")


def test_flags_that_note_alone(told: dict[str, Any]) -> None:
    assert told["against"]["autotuner"] == {"same": "yes", "changes": []}
    launched = told["against"]["programmatic launch"]  # Hopper's own
    assert launched["same"] == ("no" if told["gpu"] == "h100-sxm" else "yes")
