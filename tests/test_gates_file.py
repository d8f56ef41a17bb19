"""test_throughput_gates.py itself, on what the runner would leave for it on a node with GPUs.

The rates, the trace and the driver's word are laid out here; JAX computes on the CPU.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import nvml_double as double
from gate_samples import COPY, GEMM, node, rates, trace
from helpers import HOME
from jaxpad import nvml
from jaxpad.core import codec
from jaxpad.core.host import GpuEvidence
from jaxpad.core.results import CheckResult, Judgement, Rate
from jaxpad.machine.devices import Expectation, Started
from jaxpad.machine.facts import Facts
from jaxpad.smoke import collection
from jaxpad.smoke.child import run_file
from jaxpad.smoke.runner import Filed

FILE = HOME / "smoke_tests/test_throughput_gates.py"
EIGHT = [GEMM] * 8
PASSING = ("pass", "not applicable")


def facts(folder: Path, devices: int) -> Facts:
    """As the runner gathers them where JAX is on so many GPUs."""
    kinds = tuple((number, "NVIDIA H100 80GB HBM3") for number in range(devices))
    return Facts(
        expected=Expectation("auto", "gpu", "this machine shows a GPU"),
        gpus=GpuEvidence((), ("/dev/nvidia0",), None),
        driver=nvml.Driver(version="580.95.05"),
        packages={},
        cache=str(folder),
        cache_problem=None,
        started=Started("gpu", "cuda", kinds, tuple(range(devices))),
        folder=str(folder),
    )


def answers(
    folder: Path, found: list[Rate], scenario: str, devices: int = 8
) -> tuple[dict[str, CheckResult], list[Judgement]]:
    """The results of the file's checks, and the judgements that they file."""
    seen = node(scenario)
    (folder / "survey.json").write_text(seen.to_json())
    Filed(rates=found).leave(folder, trace(seen))
    written = folder / "facts.json"
    written.write_text(facts(folder, devices).to_json())
    environ = double.environ(scenario) | {"JAXPAD_FACTS": str(written), "JAX_PLATFORMS": "cpu"}
    checks = [check for check in collection.collect(FILE.parent) if check.file == FILE]
    filed = Filed()
    results = run_file(checks, environ, folder, 120.0, lambda _: None, filed.take)
    return {one.name: one for one in results}, filed.judgements


def node_rates(gemm: list[float]) -> list[Rate]:
    """All that eight GPUs file, the products as given."""
    same: dict[str, Any] = {"unit": "GB/s", "variant": "fp32"}
    moved: dict[str, Any] = {"unit": "GB/s", "variant": ""}
    found = [*rates(gemm), *rates(gemm, together=True), *rates([COPY] * 8, program="copy", **same)]
    found += rates([COPY] * 8, program="triad", **same)
    found += rates([52.0] * 8, program="host_to_device", **moved)
    found += rates([380.0] * 8, program="device_to_device", **moved)
    found += rates([300.0] * 8, program="attention") + rates([350.0] * 8, program="train")
    whole: dict[str, Any] = {"program": "all_reduce", "variant": "1 GiB", "unit": "GB/s"}
    whole |= {"ordinal": None, "device": None}
    return [*found, dataclasses.replace(found[0], median=380.0, **whole)]


def test_healthy_node(tmp_path: Path) -> None:
    found, judged = answers(tmp_path, node_rates(EIGHT), "idle-h100-sxm")
    assert {name: one.reason for name, one in found.items() if one.verdict != "pass"} == {}
    assert len(judged) == 65
    assert {one.gpu for one in judged} == {*range(8), None}
    first = found["test_gemm_gate"].measurements[0]
    assert (first.name, first.gate) == ("gemm bf16 of GPU 0", "at least 494.5")
    assert json.dumps(codec.to_plain(judged))


def test_slow_gpu(tmp_path: Path) -> None:
    slow = [*EIGHT[:5], 0.8 * GEMM, *EIGHT[6:]]
    found, judged = answers(tmp_path, node_rates(slow), "idle-h100-sxm")
    assert {name for name, one in found.items() if one.verdict == "fail"} == {"test_gemm_gate"}
    assert "GPU 5 gemm bf16: 576 TFLOP/s" in found["test_gemm_gate"].reason
    assert {one.gpu for one in judged if one.verdict == "fail"} == {5}


def test_one_gpu(tmp_path: Path) -> None:
    """A single GPU has no peer and no collective, and may pass."""
    same: dict[str, Any] = {"unit": "GB/s", "variant": "fp32"}
    one = [*rates([95.0]), *rates([240.0], program="copy", **same)]
    one += rates([25.0], program="host_to_device", unit="GB/s", variant="")
    one += rates([30.0], program="attention") + rates([40.0], program="train")
    found, _ = answers(tmp_path, one, "l4", devices=1)
    assert {name: each.reason for name, each in found.items() if each.verdict not in PASSING} == {}
    assert found["test_collective_gate"].verdict == "not applicable"
    assert found["test_peer_copy_gate"].verdict == "not applicable"
    assert found["test_gemm_gate"].verdict == "pass"


def test_no_rates_is_no_pass(tmp_path: Path) -> None:
    found, _ = answers(tmp_path, [], "idle-h100-sxm")
    for name in ("test_gemm_gate", "test_memory_gate", "test_collective_gate"):
        assert found[name].verdict == "inconclusive"
        assert "-k throughput" in found[name].remedy
