"""The passes that flags steer fire on each workload: compiled for a GPU that is not there.

Each workload is compiled as XLA would by default and with one or two flags; a pattern counts
instructions, kernels or calls in the optimised HLO. In a child, as compiling for a GPU wants.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from packaging.version import Version

from helpers import HOME, environ
from jaxpad import workloads

COMPILE = """
import json, sys
from jaxpad import gpus, workloads
from jaxpad.schedule import aot

found = []
for name, gpu_name, options in json.load(sys.stdin):
    gpu, workload = gpus.load(gpu_name), workloads.load(name)
    described = aot.topology(gpu, workload.devices)
    program = workload.program(workload.mesh(described.devices))
    several = [
        aot.compile_for(gpu, program.jitted, program.args, devices=described, compiler_options=one)
        for one in ({}, *options)
    ]
    found.append([
        {"text": one.as_text(), "temp": one.memory_analysis().temp_size_in_bytes,
         "alias": one.memory_analysis().alias_size_in_bytes}
        for one in several
    ])
json.dump(found, sys.stdout)
"""
NEW = Version(importlib.metadata.version("jaxlib")) >= Version("0.12")  # else 0.10.2

GEMM = r'"kind":"__triton_(?:nested_)?gemm(?:_fusion)?"'
CUBLAS = r'custom_call_target="__cublas'
CUDNN = r'custom_call_target="__cudnn\$conv'
LOOP = r" while\("


def op(name: str) -> str:
    """The pattern of an instruction, begun or whole."""
    return rf" {name}(?:-start)?\("


def begun(name: str) -> str:
    """The pattern of a collective that may run beside compute.

    0.10.2 keeps one that does not as a start and a done with nothing between them.
    """
    return rf' {name}-start\((?!.*"is_sync":true)'


@dataclass(frozen=True)
class Case:
    """What must be in the program, and what flags make of it.

    `there` is how often a pattern is found at least, `flags` are options with the counts of
    patterns without and with them.
    """

    workload: str
    there: dict[str, int]
    flags: tuple[tuple[dict[str, Any], dict[str, tuple[int, int]]], ...]
    gpu: str = "h100-sxm"


DOUBLE = {"xla_gpu_enable_while_loop_double_buffering": True}
CUBLAS_ONLY = {"xla_gpu_enable_triton_gemm": False}
WINDOWED = {"xla_gpu_threshold_for_windowed_einsum_mib": 0}
STAGES = "xla_gpu_experimental_pipeline_parallelism_opt_level"
SENT = {op("collective-permute"): (2, 0), " send\\(": (0, 2), " recv\\(": (0, 2)}
# On 0.10.2 XLA builds no windowed einsum for described GPUs, be the program ever so simple.
TENSOR = (WINDOWED, {op("collective-permute"): (0, 40)}), (DOUBLE, {op("all-gather"): (3, 6)})
ONE_GPU = (
    Case("dense", {}, ((CUBLAS_ONLY, {GEMM: (11, 0), CUBLAS: (0, 11)}),)),
    Case(
        "transformer",
        {LOOP: 2, "rematted_computation": 1, op("scatter"): 1, op("dynamic-update-slice"): 4},
        (({"xla_gpu_dot_merger_threshold_mb": 0}, {GEMM: (20, 25)}),),
    ),
    Case("conv", {CUDNN: 11}, ((CUBLAS_ONLY, {GEMM: (3, 0), CUBLAS: (0, 3)}),)),
    Case("decode", {LOOP: 1}, ((DOUBLE, {op("dynamic-update-slice"): (2, 4), GEMM: (4, 7)}),)),
)
SEVERAL = (
    Case(
        "dp",
        {LOOP: 2, begun("all-reduce"): 1},
        (({"xla_gpu_all_reduce_combine_threshold_bytes": 0}, {op("all-reduce"): (3, 5)}),),
    ),
    Case(
        "fsdp",
        {LOOP: 2, begun("all-gather"): 3},
        (
            (DOUBLE, {op("all-gather"): (4, 8), op("reduce-scatter"): (2, 4)}),
            ({"xla_gpu_all_gather_combine_threshold_bytes": 1 << 30}, {op("all-gather"): (4, 2)}),
        ),
    ),
    Case(
        "fsdp",
        {LOOP: 2},
        (({"xla_gpu_enable_latency_hiding_scheduler": True}, {begun("all-gather"): (0, 3)}),),
        gpu="a100-sxm-80",
    ),
    Case(
        "fsdp-2x8",
        {LOOP: 2, begun("all-gather"): 3, op("all-reduce"): 3},
        (
            (
                {"xla_gpu_reduce_scatter_combine_threshold_bytes": 1 << 30},
                {op("reduce-scatter"): (2, 1)},
            ),
        ),
    ),
    Case("tp", {LOOP: 2, begun("all-gather"): 3}, TENSOR[:1] if NEW else TENSOR[1:]),
    Case(
        "pp",
        {LOOP: 4, begun("collective-permute"): 1},
        (({STAGES: "PIPELINE_PARALLELISM_OPT_LEVEL_ENABLE"}, SENT),),
    ),
    Case(
        "moe",
        {LOOP: 2, op("scatter"): 1, GEMM: 9},
        (({"xla_gpu_disable_async_collectives": "ALLTOALL"}, {begun("all-to-all"): (4, 0)}),),
    ),
)
CASES = {f"{case.workload}-{case.gpu}": case for case in ONE_GPU + SEVERAL}


@pytest.fixture(scope="module")
def programs() -> dict[str, list[dict[str, Any]]]:
    """For each case the program by XLA's defaults, then with each of its options."""
    names = list(CASES)
    with ThreadPoolExecutor() as pool:
        halves = pool.map(compiled, (names[::2], names[1::2]))
    return {name: found for half in halves for name, found in half.items()}


def compiled(names: list[str]) -> dict[str, list[dict[str, Any]]]:
    cases = [CASES[name] for name in names]
    asked = [(c.workload, c.gpu, [options for options, _ in c.flags]) for c in cases]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMPILE],
        input=json.dumps(asked),
        env=environ(JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        timeout=500,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(names, json.loads(done.stdout), strict=True))


def count(pattern: str, program: dict[str, Any]) -> int:
    return len(re.findall(pattern, program["text"]))


def test_every_workload_has_a_case() -> None:
    assert {case.workload for case in CASES.values()} == set(workloads.names())


@pytest.mark.parametrize("name", CASES)
def test_what_flags_steer_is_there(name: str, programs: dict[str, list[dict[str, Any]]]) -> None:
    plain = programs[name][0]
    assert plain["alias"] > 1 << 20  # a donated state or cache
    found = {pattern: count(pattern, plain) for pattern in CASES[name].there}
    assert all(found[pattern] >= least for pattern, least in CASES[name].there.items()), found


@pytest.mark.parametrize("name", CASES)
def test_flags_show(name: str, programs: dict[str, list[dict[str, Any]]]) -> None:
    plain, *flagged = programs[name]
    for (options, changes), program in zip(CASES[name].flags, flagged, strict=True):
        seen = {pattern: (count(pattern, plain), count(pattern, program)) for pattern in changes}
        assert seen == changes, options
