"""The throughput programs do the work they are timed for: compiled for every described GPU.

The optimised program is read: the products in it with their dtypes and algorithm, its
kernels and the bytes they move, its collectives. Compiled in a child, as for tests/test_aot.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad import gpus
from jaxpad.throughput import KINDS, Attention, Collective, Train, half, scale, why_not

COMPILE = r"""
import dataclasses, json, re, sys, tempfile
from pathlib import Path
from jaxpad import gpus, schedule, throughput
from jaxpad.schedule import aot
from jaxpad.schedule import thunks as _executable
from jaxpad.schedule.cost import cost
from jaxpad.schedule.hlo import Module, dtype
from jaxpad.schedule.hlo import CALLERS

# What any process knows of itself; the configs of Ada and of some others, which come from
# older ones of XLA's, do not hold it, and XLA takes fp8 for too new for the toolkit.
VERSIONS = {"driver_version": "12.9.0", "runtime_version": "12.9.0"}
VERSIONS["compile_time_toolkit_version"] = "12.9.0"

def whole(gpu):
    figures = VERSIONS | dict(gpu.target.figures)
    return dataclasses.replace(gpu, target=dataclasses.replace(gpu.target, figures=figures))

def products(module):
    for place in module.placed():
        for inside, one in within(module, place.computation):
            call = one.opcode == "custom-call" and one.custom_call_target.startswith("__cublas")
            if one.opcode == "dot" or call:
                shapes = [each.shape for each in inside.operands(one)[:2]]
                noted = module.config(one).get("gemm_backend_config", {})
                level = noted.get("precision_config", {}).get("algorithm", "")
                yield {
                    "by": one.custom_call_target or one.opcode,
                    "operands": [dtype(shape) for shape in shapes],
                    "sides": [list(shape.dimensions) for shape in shapes],
                    "algorithm": level or algorithm(one.precision_config),
                    "flops": place.runs * cost(module, inside, one).total,
                }

def within(module, computation):
    # the instructions of a computation and of its fusions
    for one in computation.instructions:
        yield computation, one
        if one.opcode not in CALLERS:
            for called in module.called(one):
                yield from within(module, called)

def algorithm(precision):
    kind = precision.DESCRIPTOR.fields_by_name["algorithm"].enum_type
    return kind.values_by_number[precision.algorithm].name

def read(name, program, devices, machine_code):
    gpu = whole(gpus.load(name))
    described = aot.topology(gpu, devices)
    built = program.build(throughput.as_one(described.devices))
    with tempfile.TemporaryDirectory() as dump:
        options = {"xla_dump_to": dump, "xla_dump_emitter_re": "ptx"} if machine_code else {}
        compiled = aot.compile_for(
            gpu, built.jitted, built.args, devices=described, compiler_options=options
        )
        ptx = "".join(path.read_text() for path in Path(dump).rglob("*.ptx"))
    executable = compiled.runtime_executable()
    found = schedule.read(executable, gpu)
    return {
        "products": list(products(Module(_executable.module(executable)))),
        "kernels": [dataclasses.asdict(one) for one in found.kernels],
        "collectives": [[one.kind, one.bytes, one.sent, one.group] for one in found.collectives],
        "aliased": found.memory.aliased,
        "arguments": found.memory.arguments,
        "work": program.work,
        "instructions": sorted(set(re.findall(r"\b(?:\w*mma|tcgen05\.mma|fma)\.[\w.:]+", ptx))),
    }

machine_code, asked = json.load(sys.stdin)
json.dump(
    [
        read(name, getattr(throughput, kind)(*args), devices, machine_code)
        for name, kind, args, devices in asked
    ],
    sys.stdout,
)
"""
GEMMS = {"bf16": "bf16", "fp16": "f16", "tf32": "f32", "fp32": "f32", "fp8": "f8e4m3fn"}
ALL = {name: gpus.load(name) for name in gpus.names()}
CASES = [(name, dtype) for name, gpu in ALL.items() for dtype in GEMMS if dtype in gpu.peak]
ONE_OF_EACH = ("v100-sxm-32", "t4", "a100-sxm-80", "l4", "h100-sxm", "b200", "rtx-5090")
MACHINE_CODE = ("a100-sxm-80", "h100-sxm", "b200")  # where XLA's kernels are Triton's
MULTIPLY = r"mma\.sync|wgmma\.mma_async|tcgen05\.mma"
TRAINED = ("v100-sxm-32", "h100-sxm")  # a program of 25 GEMMs compiles for 15 s


def sizes(name: str) -> Any:
    """The scale of a GPU that nothing else uses: JAX takes three quarters of its memory."""
    return scale("gpu", int(0.75e9 * (ALL[name].memory.size_gb.value or 80)))


def dtype_of(name: str) -> str:
    return half("gpu", ALL[name].compute_capability)


def read(
    asked: list[tuple[str, str, tuple[Any, ...], int]], machine_code: bool = False
) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMPILE],
        input=json.dumps([machine_code, asked]),
        env=environ(JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        timeout=400,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def flops(program: dict[str, Any]) -> int:
    """Of everything that multiplies matrices, all runs."""
    return sum(one["flops"] for one in program["products"])


def gemm_side(name: str, dtype: str) -> int:
    side: int = sizes(name).side if dtype in ("fp32", "tf32") else sizes(name).narrow_side
    return side


@pytest.fixture(scope="module")
def gemms() -> dict[tuple[str, str], dict[str, Any]]:
    asked = [(name, "Gemm", (dtype, gemm_side(name, dtype)), 1) for name, dtype in CASES]
    return dict(zip(CASES, read(asked), strict=True))


@pytest.fixture(scope="module")
def streams() -> dict[tuple[str, str], dict[str, Any]]:
    cases = [(name, kind) for name in ALL for kind in ("Copy", "Triad")]
    return dict(zip(cases, read([(n, k, (sizes(n).vector,), 1) for n, k in cases]), strict=True))


@pytest.mark.parametrize("name", ALL)
def test_dtypes_are_those_described(name: str) -> None:
    """A device is timed in just the dtypes whose peak its description has."""
    gpu = ALL[name]
    timed = {one for one in GEMMS if not why_not(one, "gpu", gpu.compute_capability)}
    assert timed == set(GEMMS) & set(gpu.peak)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_gemm(name: str, dtype: str, gemms: dict[tuple[str, str], dict[str, Any]]) -> None:
    """One product of full size, of operands in the dtype that it is timed for."""
    program, side = gemms[name, dtype], gemm_side(name, dtype)
    (product,) = program["products"]
    assert product["operands"] == [GEMMS[dtype]] * 2
    assert product["sides"] == [[side, side]] * 2
    assert program["arguments"] >= 2 * side**2 * (1 if dtype == "fp8" else 2)
    assert product["flops"] == 2 * side**3
    if dtype in ("tf32", "fp32"):
        levels = {"tf32": "ALG_DOT_TF32_TF32_F32", "fp32": "ALG_DOT_F32_F32_F32"}
        assert product["algorithm"] == levels[dtype]


@pytest.mark.parametrize("name", [name for name, dtype in CASES if dtype == "fp8"])
def test_gemm_fp8_one_kernel(name: str, gemms: dict[tuple[str, str], dict[str, Any]]) -> None:
    """CuBLASLt's fp8, and no kernel beside it converts, transposes or scales a matrix."""
    program = gemms[name, "fp8"]
    assert program["products"][0]["by"] == "__cublas$lt$matmul$f8"
    matrix = gemm_side(name, "fp8") ** 2
    beside = [k for k in program["kernels"] if "GEMM" not in k["kind"] and "cu" not in k["kind"]]
    assert all(one["bytes"] < matrix for one in beside)
    product = next(k for k in program["kernels"] if k not in beside)
    assert matrix * 4 <= product["bytes"] < matrix * 4 + 100  # two of 1 byte in, bf16 out


def test_gemm_instructions() -> None:
    """The PTX multiplies in the dtype: tensor cores, but for fp32, which has none."""
    multiply = {"bf16": (".bf16.bf16", "::f16"), "fp16": (".f16.f16", "::f16")}
    multiply["tf32"] = (".tf32.tf32", "::tf32")  # the second is tcgen05's, of data center Blackwell
    cases = [(name, dtype) for name in MACHINE_CODE for dtype in (*multiply, "fp32")]
    asked = [(name, "Gemm", (dtype, gemm_side(name, dtype)), 1) for name, dtype in cases]
    for (name, dtype), program in zip(cases, read(asked, machine_code=True), strict=True):
        tensor = [one for one in program["instructions"] if re.match(MULTIPLY, one)]
        if dtype == "fp32":
            assert not tensor, name
            assert "fma.rn.f32" in program["instructions"], name
        else:
            assert tensor, name
            assert all(any(kind in one for kind in multiply[dtype]) for one in tensor), tensor


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["Copy", "Triad"])
def test_stream(name: str, kind: str, streams: dict[tuple[str, str], dict[str, Any]]) -> None:
    """One kernel, which moves the bytes that are counted, into memory of its own."""
    program = streams[name, kind]
    (kernel,) = program["kernels"]
    assert (kernel["count"], kernel["runs"]) == (1, 1)
    assert 0 <= kernel["bytes"] - 1e9 * program["work"] <= 8  # triad's scalar
    assert program["aliased"] == 0


def test_attention() -> None:
    """Two products for each head, of the FLOPs that are counted."""
    asked = [
        (name, "Attention", (dtype_of(name), *sizes(name).attention), 1) for name in ONE_OF_EACH
    ]
    for (name, _, args, _), program in zip(asked, read(asked), strict=True):
        wanted = Attention(*args).work * 1e12
        assert len(program["products"]) == 2, name
        assert {one["operands"][0] for one in program["products"]} == {GEMMS[args[0]]}, name
        assert flops(program) == wanted, name


def test_train() -> None:
    """The step has its GEMMs: the model's FLOPs, and at most a forward pass recomputed."""
    asked = [(name, "Train", (dtype_of(name), sizes(name).batch), 1) for name in TRAINED]
    for (name, _, args, _), program in zip(asked, read(asked), strict=True):
        wanted = Train(*args).work * 1e12
        assert wanted < flops(program) < 4 / 3 * wanted, name
        assert {one["operands"][0] for one in program["products"]} == {GEMMS[args[0]]}, name
        assert program["aliased"] > 4 * Train(*args).parameters - (1 << 20), name  # state donated


def test_collectives() -> None:
    """One collective of its kind and size, and nothing that copies the data beside it."""
    size = 64 << 20
    for devices in (2, 8):
        asked = [("h100-sxm", "Collective", (kind, size, devices), devices) for kind in KINDS]
        for kind, program in zip(KINDS, read(asked), strict=True):
            name = "collective-permute" if kind == "permute" else kind.replace("_", "-")
            bus = round(1e9 * Collective(kind, size, devices).work)
            ((found, moved, sent, group),) = program["collectives"]
            assert (found, moved, sent) == (name, size, bus)
            assert group in (devices, None)
            assert sum(one["bytes"] for one in program["kernels"]) < size // 100, kind
