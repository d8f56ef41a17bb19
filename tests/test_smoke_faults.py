"""Every fault that a GPU node can have: the check that finds it, the verdict, the exit code.

Each is injected, none passes. `whole run` is `jaxpad smoke` over the double of NVML, in which
a fault shows to the driver, sysfs or the kernel's log. Faults that show in a GPU's readings, each
to a check of its own, are on one node together: tests/test_health_faults.py has each alone.
`judged` holds rates and readings that a GPU with this fault gives to the gates; `measured` runs
the throughput programs on eight devices, one of them disturbed by a function argument.
`PYTHONPATH=.:tests python` on this file prints the table of docs/faults.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from gate_samples import COPY, GEMM, evidence, node, rate, rates, trace
from health_cases import off_the_bus, one_gpu, with_module
from helpers import HOME, environ
from jaxpad import gates
from jaxpad.core.reading import Reading
from jaxpad.core.results import Rate, Verdict
from jaxpad.gates import Answer
from jaxpad.nvml import GpuState
from jaxpad.smoke import collection
from jaxpad.smoke.child import run_file
from smoke_faults import Case, Fault, Outcome, held_down, run, whole
from test_throughput import HANGS, eight

FAIL, UNSURE = Verdict.FAIL, Verdict.INCONCLUSIVE


def judged(
    fault: str, check: str, verdict: Verdict, remedy: str, answer: Callable[[], Answer]
) -> Case:
    """A fault that only a GPU at work shows, as its rates and readings would."""

    def outcome() -> Outcome:
        found = answer()
        return Outcome(found.verdict, found.verdict.exit_code, found.reason, found.remedy)

    file = "test_health.py" if check == "test_all_gpus_used" else "test_throughput_gates.py"
    return Case(fault, "judged", f"{file}::{check}", verdict, remedy, outcome)


def gemm(found: Sequence[Rate], given: gates.Evidence | None = None) -> Answer:
    return gates.of_judgements(gates.judge(found, given or evidence()))


def one_capped() -> Answer:
    def capped(gpu: GpuState) -> GpuState:
        return replace(gpu, power=replace(gpu.power, enforced_limit_watts=Reading(350.0)))

    return gemm(rates([420.0] + [GEMM] * 7), evidence(node(gpu0=capped)))


def one_hot() -> Answer:
    seen = node()
    hot = trace(seen, gpu2={"throttle_bits": 0x40, "temperature_celsius": 88.0})
    return gemm(rates([GEMM] * 2 + [450.0] + [GEMM] * 5), evidence(seen, hot))


def clock_set() -> Answer:
    seen = node()
    gpu = seen.snapshot.gpus[4]
    clocks = replace(gpu.clocks, sm_mhz=Reading(1095), memory_mhz=Reading(2619))
    reasons: Reading[tuple[str, ...]] = Reading(("applications_clocks_setting",))
    slow = replace(gpu, clocks=clocks, throttle=replace(gpu.throttle, reasons=reasons))
    return gates.clocked(evidence(seen, loaded={4: slow}))


def narrow_at_work() -> Answer:
    seen = node()
    gpu = seen.snapshot.gpus[6]
    narrow = replace(gpu, pcie=replace(gpu.pcie, width=Reading(4)))
    given = evidence(seen, loaded={6: narrow})
    moved = rate(12.4, 6, program="host_to_device", variant="", unit="GB/s")
    return gemm([moved], given)


# Programs run for real, on eight CPU devices of which one is disturbed -------------------------

WRONG = """
gemm = Gemm("fp32", 128)
print(json.dumps([said(gemm, device=2, nan=True), said(gemm, device=2, wrong=True)]))
"""
SLOW = """
print(json.dumps(rates(Copy(1 << 20), disturb=Disturbance(device=3, slow=10.0))))
"""


def measured(
    fault: str, check: str, verdict: Verdict, remedy: str, outcome: Callable[[], Outcome]
) -> Case:
    """A fault that a test gives to one device through a function argument."""
    file = "test_throughput_gates.py" if check.endswith("_gate") else "test_throughput.py"
    return Case(fault, "measured", f"{file}::{check}", verdict, remedy, outcome)


@cache
def numbers() -> list[list[str]]:
    """What `verify` said of NaN and of a wrong entry: reason and remedy."""
    found: list[list[str]] = eight(WRONG)
    return found


def wrong(place: int) -> Outcome:
    reason, remedy = numbers()[place]
    assert "on device 2 " in reason
    return Outcome(FAIL, FAIL.exit_code, reason, remedy)


def hung() -> Outcome:
    """The runner ends a check whose device does not come back."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_it.py").write_text(HANGS)
        checks = collection.collect(Path(folder))[:1]
        found = next(iter(run_file(checks, environ(), Path(folder), 8.0, lambda _: None)))
    return Outcome(found.verdict, found.verdict.exit_code, found.reason, found.remedy)


def slow_copy() -> Outcome:
    """Rates of eight CPU devices, as if each were one of the node's GPUs and those were fast."""
    told = [Rate(**one) for one in eight(SLOW)]
    scale = COPY / sorted(one.median for one in told)[4]
    as_gpus = [
        replace(one, platform="gpu", ordinal=one.device, median=one.median * scale) for one in told
    ]
    found = gemm(as_gpus)
    assert "GPU 3 copy" in found.reason
    return Outcome(found.verdict, found.verdict.exit_code, found.reason, found.remedy)


# Nodes with several faults, and nodes with several doubts about them.
worn, broken = partial(whole, node="worn"), partial(whole, node="broken")
doubtful, puzzling = partial(whole, node="doubtful"), partial(whole, node="puzzling")
GROWING = "+900000000/s"  # ns: held down nine tenths of the time
WRAPS = 2**32 - 270_000_000  # 0.3 s later, so in the run
CASES = (
    whole("no driver", "test_driver", FAIL, "install", lay=one_gpu, library=False),
    whole("library missing", "test_driver", FAIL, "libnvidia-ml", lay=with_module, library=False),
    whole("driver not loaded", "test_driver", FAIL, "modprobe", scenario="not-loaded", lay=one_gpu),
    whole("driver and library of two versions", "test_driver", FAIL, "reboot", scenario="mismatch"),
    whole("no permission", "test_driver", UNSURE, "root", scenario="no-permission"),
    whole("library that crashes", "test_driver", UNSURE, "doctor", scenario="crashes"),
    whole("GPU lost before the run", "test_answers", FAIL, "reset", scenario="lost-before"),
    whole(
        "GPU lost in mid-run",
        "test_gpus_stay",
        FAIL,
        "reset",
        changes={"1.fault.after_s": 1.2, "1.fault.code": "!GpuIsLost"},
        more=("test_lax.py",),
    ),
    whole("GPU fallen off the bus", "test_count", FAIL, "reseat", lay=off_the_bus),
    worn("uncorrected ECC error", "test_ecc", FAIL, "reset", changes={"3.TotalEccErrors.1.0": 2}),
    worn("row remap pending", "test_rows", FAIL, "reset", changes={"3.RemappedRows.2": 1}),
    broken("row remap failed", "test_rows", FAIL, "replaced", changes={"3.RemappedRows.3": 1}),
    worn(
        "Xid in the kernel's log",
        "test_xid",
        FAIL,
        "reset",
        lay=lambda node: node.xid(48, "0000:0b:00"),
    ),
    worn(
        "thermal slowdown at the start",
        "test_slowdown",
        FAIL,
        "fans",
        changes={"5.CurrentClocksEventReasons": 0x48},
    ),
    whole(
        "thermal slowdown in the run, counter that wraps",
        "test_no_slowdown",
        FAIL,
        "fans",
        changes={"5.Field.270": f"{WRAPS} {GROWING} wrap 32"},
    ),
    broken(
        "power brake in the run",
        "test_no_slowdown",
        FAIL,
        "power supplies",
        changes={"5.Field.271": f"0 {GROWING}"},
    ),
    broken(
        "hardware slowdown",
        "test_slowdown",
        FAIL,
        "cooling",
        changes={"5.CurrentClocksEventReasons": 0x8},
    ),
    doubtful(
        "power cap", "test_power", UNSURE, "-pl 700", changes={"5.EnforcedPowerLimit": 400000}
    ),
    worn(
        "PCIe at x4 at work",
        "test_pcie",
        FAIL,
        "reseat",
        changes={"6.CurrPcieLinkWidth": 4, "6.CurrentClocksEventReasons": 0},
    ),
    worn("NVLink down", "test_nvlink", FAIL, "Xid 74", changes={"6.Field.165.17": 0}),
    doubtful(
        "foreign compute process",
        "test_busy",
        UNSURE,
        "fuser",
        changes={
            "2.ComputeRunningProcesses.count": 1,
            "2.ComputeRunningProcesses.0.pid": 4711,
            "2.ComputeRunningProcesses.0.usedGpuMemory": 2**30,
        },
    ),
    puzzling(
        "memory taken by nobody that is listed",
        "test_busy",
        UNSURE,
        "fuser",
        changes={"2.MemoryInfo_v2.used": 40 * 10**9},
    ),
    worn(
        "exclusive mode, held by another process",
        "test_mode",
        FAIL,
        "-c DEFAULT",
        changes={
            "2.ComputeMode": 3,
            "2.ComputeRunningProcesses.count": 1,
            "2.ComputeRunningProcesses.0.pid": 4711,
            "2.ComputeRunningProcesses.0.usedGpuMemory": 2**30,
        },
    ),
    broken("prohibited mode", "test_mode", FAIL, "-c DEFAULT", changes={"7.ComputeMode": 2}),
    doubtful(
        "MIG parent without slices",
        "test_mig",
        UNSURE,
        "slices",
        changes={"7.MigMode.0": 1, "7.MigMode.1": 1},
    ),
    doubtful(
        "temperature of 65535 °C",
        "test_sense",
        UNSURE,
        "nvidia-smi",
        changes={"5.TemperatureV.0": 65535, "5.Temperature.0": 65535},
    ),
    puzzling(
        "NVML call that takes 2 s, before the run",
        "test_speed",
        UNSURE,
        "dmesg",
        changes={"1.slow.at_s": 0, "1.slow.for_s": 2.1},
    ),
    whole(
        "NVML call that takes 2 s, in the run",
        "test_gpus_stay",
        UNSURE,
        "dmesg",
        changes={"1.slow.at_s": 0.3, "1.slow.for_s": 2.1},
        more=("test_lax.py",),
    ),
    worn(
        "NVLink fabric not started",
        "test_fabric",
        FAIL,
        "fabricmanager",
        changes={"7.GpuFabricInfo.state": 1},
    ),
    judged(
        "count mismatch: NVML 8, JAX 7",
        "test_all_gpus_used",
        FAIL,
        "CUDA_VISIBLE_DEVICES",
        lambda: gates.all_used(node(), range(7)),
    ),
    judged(
        "one slow GPU of eight",
        "test_gemm_gate",
        FAIL,
        "dcgmi",
        lambda: gemm(rates([GEMM] * 3 + [0.85 * GEMM] + [GEMM] * 4)),
    ),
    judged(
        "all GPUs at half of their model",
        "test_gemm_gate",
        FAIL,
        "dcgmi",
        lambda: gemm(rates([400.0] * 8)),
    ),
    judged(
        "0 FLOPS", "test_gemm_gate", UNSURE, "run it again", lambda: gemm(rates([GEMM] * 7 + [0.0]))
    ),
    judged(
        "twice the peak",
        "test_gemm_gate",
        UNSURE,
        "description",
        lambda: gemm(rates([GEMM] * 7 + [1978.0])),
    ),
    judged("slow under a power cap", "test_gemm_gate", UNSURE, "-pl 700", one_capped),
    judged("slow while hot", "test_gemm_gate", FAIL, "fans", one_hot),
    judged("clock that was set", "test_clocks_under_load", UNSURE, "-rgc", clock_set),
    measured("NaN from one device", "test_gemm_fp32", FAIL, "health", partial(wrong, 0)),
    measured("a wrong number from one device", "test_gemm_fp32", FAIL, "health", partial(wrong, 1)),
    measured("a kernel that hangs", "test_copy", FAIL, "--limit", hung),
    measured("one device ten times slower", "test_memory_gate", FAIL, "dcgmi", slow_copy),
    judged("slow behind PCIe x4", "test_transfer_gate", FAIL, "reseat", narrow_at_work),
)


@cache
def outcomes() -> dict[str, Outcome]:
    """What comes of every fault."""
    return {case.fault: case.outcome() for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.fault)
def test_fault(case: Case) -> None:
    found = outcomes()[case.fault]
    assert found.verdict == case.verdict, found
    assert case.remedy in found.remedy
    assert found.reason
    assert found.exit_code == {FAIL: 1, UNSURE: 3}[case.verdict]


def test_faults_of_a_node_hide_none_of_each_other() -> None:
    """Each shows to a check of its own, and every one of them gives the node's exit code."""
    for name in {case.node for case in CASES if case.node}:
        cases = [case for case in CASES if case.node == name]
        assert len({case.check for case in cases}) == len(cases), name
        assert len({case.verdict for case in cases}) == 1, name
        told = held_down(name)
        for case in cases:
            if case.check == "test_no_slowdown":  # by its counter, not by what samples see
                assert not [remedy for remedy in told if case.remedy in remedy], case.fault


def test_well_node_passes() -> None:
    report = run(Fault(full=True))
    wrong = {
        one["id"] if "id" in one else one["name"]: one["reason"]
        for one in report["checks"]
        if one["verdict"] not in ("pass", "not applicable")
    }
    assert wrong == {}
    assert report["exit_code"] == 0


def table() -> str:
    """The faults as docs/faults.md has them."""
    rows = [
        f"| {case.fault} | {case.how} | `{case.check.partition('::')[2]}` | {case.verdict} | "
        f"{outcomes()[case.fault].exit_code} | {outcomes()[case.fault].remedy} |"
        for case in CASES
    ]
    head = "| fault | how | check | verdict | exit code | remedy |"
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


def test_page_has_the_table() -> None:
    assert table() in (HOME / "docs/faults.md").read_text(), (
        "renew it: PYTHONPATH=.:tests python tests/test_smoke_faults.py"
    )


if __name__ == "__main__":
    print(table())  # noqa: T201
