"""Each fault that one look can show: its verdict, the question that finds it, its remedy.

Through unmodified nvidia-ml-py over the double of libnvidia-ml.so.1, in a child; sysfs and
the kernel's log are folders laid out here. `PYTHONPATH=. python` on this file prints the
table of docs/health.md.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import nvml_double as double
from helpers import HOME
from jaxpad import health
from jaxpad.core import bounds
from jaxpad.core.results import Verdict
from jaxpad.health import Finding, Health
from test_health_machine import H100, Machine

FAIL, UNSURE = Verdict.FAIL, Verdict.INCONCLUSIVE
ORDER = (FAIL, UNSURE, Verdict.PASS, Verdict.NOT_APPLICABLE)


def one_gpu(machine: Machine) -> None:
    machine.gpu("0000:3b:00.0")


def off_the_bus(machine: Machine) -> None:
    machine.gpu("0000:99:00.0", b"\xff\xff\xff\xff")


def with_module(machine: Machine) -> None:
    machine.gpu("0000:3b:00.0")
    machine.module("580.95.05")


def no_log(machine: Machine) -> None:
    machine.log.unlink()


def log(*codes: int) -> Callable[[Machine], None]:
    def lay(machine: Machine) -> None:
        for code in codes:
            machine.xid(code)

    return lay


def port(state: str, physical: str) -> Callable[[Machine], None]:
    return lambda machine: machine.port(state, physical)


@dataclass(frozen=True)
class Case:
    """What is wrong, where it shows, and a word of the remedy."""

    fault: str
    question: str
    verdict: Verdict
    remedy: str
    scenario: str = H100
    changes: Mapping[str, Any] = field(default_factory=dict)
    lay: Callable[[Machine], None] = lambda machine: None
    options: Mapping[str, Any] = field(default_factory=dict)
    library: bool = True


IDLE = {"idle": True}
FAULTS = (
    Case("no driver", "driver", FAIL, "install", lay=one_gpu, library=False),
    Case("library missing", "driver", FAIL, "libnvidia-ml", lay=with_module, library=False),
    Case("driver not loaded", "driver", FAIL, "modprobe", "not-loaded", lay=one_gpu),
    Case("driver and library of two versions", "driver", FAIL, "reboot", "mismatch"),
    Case("no permission", "driver", UNSURE, "root", "no-permission"),
    Case("driver hangs", "driver", UNSURE, "dmesg", "hangs", options={"limit_s": 1.5}),
    Case("library crashes", "driver", UNSURE, "doctor", "crashes"),
    Case(
        "NVML call takes 2 s",
        "speed",
        UNSURE,
        "dmesg",
        changes={"1.slow.at_s": 0, "1.slow.for_s": "2.1"},
    ),
    Case("GPU lost", "answers", FAIL, "reset", "lost-before"),
    Case(
        "GPU needs a reset",
        "answers",
        FAIL,
        "reset",
        changes={"2.HandleByIndex": "!ResetRequired"},
    ),
    Case("GPU fallen off the bus", "count", FAIL, "reseat", lay=off_the_bus),
    Case(
        "GPU on the bus, not in NVML",
        "count",
        UNSURE,
        "--expect",
        lay=lambda machine: machine.gpu("0000:99:00.0"),
    ),
    Case("fewer GPUs than --expect", "count", FAIL, "drain", "l4", options={"expect": 2}),
    Case("uncorrected ECC error", "ecc", FAIL, "reset", changes={"3.TotalEccErrors.1.0": 2}),
    Case("ECC off", "ecc", UNSURE, "-e 1", changes={"3.EccMode.0": 0, "3.EccMode.1": 0}),
    Case("row remap pending", "rows", FAIL, "reset", changes={"3.RemappedRows.2": 1}),
    Case("row remap failed", "rows", FAIL, "replaced", changes={"3.RemappedRows.3": 1}),
    Case("retired page pending", "pages", FAIL, "reset", "old-driver"),
    Case(
        "memory missing",
        "memory",
        UNSURE,
        "nvidia-smi",
        "l4",
        {"0.MemoryInfo_v2.total": 12 * 10**9, "0.MemoryInfo_v2.free": 11 * 10**9},
    ),
    Case(
        "hardware slowdown",
        "slowdown",
        FAIL,
        "power",
        changes={"5.CurrentClocksEventReasons": 0x8},
    ),
    Case(
        "hardware thermal slowdown",
        "slowdown",
        FAIL,
        "fans",
        changes={"5.CurrentClocksEventReasons": 0x48},
    ),
    Case(
        "hardware power brake",
        "slowdown",
        FAIL,
        "power supplies",
        changes={"5.CurrentClocksEventReasons": 0x88},
    ),
    Case(
        "software thermal slowdown",
        "slowdown",
        FAIL,
        "fans",
        changes={"5.CurrentClocksEventReasons": 0x20},
    ),
    Case(
        "no margin to the slowdown", "temperature", FAIL, "fans", changes={"5.MarginTemperature": 0}
    ),
    Case(
        "at the slowdown temperature",
        "temperature",
        FAIL,
        "fans",
        "a100-mig",
        {"1.TemperatureV.0": 89},
    ),
    Case(
        "temperature of 65535 °C",
        "temperature",
        UNSURE,
        "nvidia-smi",
        changes={"5.TemperatureV.0": 65535, "5.Temperature.0": 65535},
    ),
    Case("power capped", "power", UNSURE, "-pl 700", changes={"5.EnforcedPowerLimit": 400000}),
    Case("PCIe at x4 at work", "pcie", FAIL, "reseat", changes={"6.CurrPcieLinkWidth": 4}),
    Case("PCIe at x4, idle", "pcie", UNSURE, "load", "l4", {"0.CurrPcieLinkWidth": 4}),
    Case(
        "slot of x8",
        "pcie",
        UNSURE,
        "pcie_width_least",
        changes={"6.CurrPcieLinkWidth": 8, "6.MaxPcieLinkWidth": 8},
    ),
    Case("PCIe replays", "replays", UNSURE, "reseat", changes={"6.PcieReplayCounter": 4000}),
    Case("NVLink down", "nvlink", FAIL, "Xid 74", changes={"6.Field.165.17": 0}),
    Case(
        "fabric not started", "fabric", FAIL, "fabricmanager", changes={"7.GpuFabricInfo.state": 1}
    ),
    Case("fabric in progress", "fabric", UNSURE, "minute", changes={"7.GpuFabricInfo.state": 2}),
    Case(
        "fabric in error", "fabric", FAIL, "fabricmanager", changes={"7.GpuFabricInfo.status": 999}
    ),
    Case(
        "fabric degraded",
        "fabric",
        FAIL,
        "fabricmanager",
        changes={"7.GpuFabricInfo.healthMask": 1},
    ),
    Case(
        "fabric of another clique", "fabric", UNSURE, "q", changes={"7.GpuFabricInfo.cliqueId": 9}
    ),
    Case(
        "fabric of another cluster", "fabric", UNSURE, "q", changes={"7.GpuFabricInfo.cluster": 9}
    ),
    Case("fabric summary", "fabric", FAIL, "q", changes={"7.GpuFabricInfo.healthSummary": 2}),
    Case("fabric limited", "fabric", UNSURE, "q", changes={"7.GpuFabricInfo.healthSummary": 3}),
    Case("recovery: reset", "recovery", FAIL, "-i 2 -r", changes={"2.Field.230": 1}),
    Case("recovery: reboot", "recovery", FAIL, "reboot", changes={"2.Field.230": 2}),
    Case("recovery: drain", "recovery", FAIL, "linked", changes={"2.Field.230": 3}),
    Case("recovery: drain and reset", "recovery", FAIL, "-i 2 -r", changes={"2.Field.230": 4}),
    Case("recovery: one to come", "recovery", FAIL, "nvidia-smi -q", changes={"2.Field.230": 9}),
    Case("compute prohibited", "mode", FAIL, "-c DEFAULT", changes={"7.ComputeMode": 2}),
    Case(
        "exclusive mode, held (--idle)",
        "mode",
        FAIL,
        "-c DEFAULT",
        changes={"0.ComputeMode": 3},
        options=IDLE,
    ),
    Case(
        "MIG without slices", "mig", UNSURE, "slices", changes={"7.MigMode.0": 1, "7.MigMode.1": 1}
    ),
    Case("MIG change pending", "mig", UNSURE, "reset", changes={"7.MigMode.1": 1}),
    Case("foreign process (--idle)", "busy", UNSURE, "fuser", options=IDLE),
    Case(
        "memory taken (--idle)",
        "busy",
        UNSURE,
        "fuser",
        changes={f"{gpu}.ComputeRunningProcesses.count": 0 for gpu in range(8)},
        options=IDLE,
    ),
    Case(
        "unlike its peers", "peers", UNSURE, "slot", changes={"7.MemoryInfo_v2.total": 83 * 10**9}
    ),
    Case("readings that cannot be", "sense", UNSURE, "nvidia-smi", "garbage"),
    Case("Xid 48", "xid", FAIL, "reset", lay=log(13, 48)),
    Case("Xid 79 of a GPU listed again", "xid", FAIL, "reboot", lay=log(79)),
    Case("an Xid of no known meaning", "xid", UNSURE, "look", lay=log(173)),
    Case(
        "Xid 79 of a GPU not listed",
        "kernel log",
        FAIL,
        "reboot",
        lay=lambda machine: machine.xid(79, "0000:99:00"),
    ),
    Case("kernel's log unreadable", "kernel log", UNSURE, "root", lay=no_log),
    Case("InfiniBand port not active", "ports", FAIL, "cable", lay=port("2: INIT", "5: LinkUp")),
    Case(
        "InfiniBand port without link", "ports", UNSURE, "cable", lay=port("1: DOWN", "2: Polling")
    ),
)

NORMAL = (
    Case("a power cap under load", "slowdown", Verdict.PASS, ""),
    Case("idle", "slowdown", Verdict.PASS, "", "l4"),
    Case("exclusive mode", "mode", Verdict.PASS, "", changes={"0.ComputeMode": 3}),
    Case("a MIG parent", "mig", Verdict.PASS, "", "a100-mig"),
    Case("no persistence mode", "persistence", Verdict.PASS, "", "l4"),
    Case("a program's Xids", "xid", Verdict.PASS, "", lay=log(13, 31, 43, 45, 94)),
    Case("a port switched off", "ports", Verdict.PASS, "", lay=port("1: DOWN", "3: Disabled")),
    Case(
        "a GPU given to a virtual machine",
        "count",
        Verdict.PASS,
        "",
        lay=lambda machine: machine.gpu("0000:99:00.0", driver="vfio-pci"),
    ),
    Case("as many as expected", "count", Verdict.PASS, "", options={"expect": 8}),
)


def found(case: Case) -> Health:
    """What the check finds on a machine with this fault."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        case.lay(machine)
        environ = double.environ(case.scenario, case.changes)
        if not case.library:
            environ |= {"LD_LIBRARY_PATH": folder}
        return health.check(bounds.load(), roots=machine.roots, environ=environ, **case.options)


@cache
def every() -> dict[str, Health]:
    double.library()  # built once, before the threads want it
    double.environ("old-driver")  # the library without some symbols
    with ThreadPoolExecutor(3) as pool:
        cases = (*FAULTS, *NORMAL)
        return dict(zip([case.fault for case in cases], pool.map(found, cases), strict=True))


def worst(case: Case) -> Finding:
    """The finding of the question that should have found it."""
    about = [one for one in every()[case.fault].findings if one.name == case.question]
    return min(about, key=lambda one: ORDER.index(one.verdict))


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.fault)
def test_fault(case: Case) -> None:
    seen, one = every()[case.fault], worst(case)
    assert one.verdict is case.verdict, one
    assert case.remedy in one.remedy
    assert one.question.endswith("?")
    assert seen.verdict is case.verdict, [bad for bad in seen.findings if bad.remedy]
    assert seen.verdict.exit_code == {FAIL: 1, UNSURE: 3}[case.verdict]
    assert health.nagios(seen)[1] == {FAIL: 2, UNSURE: 3}[case.verdict]


@pytest.mark.parametrize("case", NORMAL, ids=lambda case: case.fault)
def test_normal(case: Case) -> None:
    assert worst(case).verdict is Verdict.PASS
    assert every()[case.fault].verdict is Verdict.PASS


def test_every_question_has_a_fault() -> None:
    notes = {"persistence"}
    assert {question.name for question in health.QUESTIONS} - notes == {
        case.question for case in FAULTS
    }


def test_findings_say_what_to_do() -> None:
    """No pass asks for anything, all else does, in one sentence that can be printed."""
    for seen in every().values():
        for one in seen.findings:
            wrong = one.verdict in (FAIL, UNSURE)
            assert bool(one.remedy) is wrong, one
            texts = [text for text in dataclasses.astuple(one) if isinstance(text, str)]
            assert all(text.isprintable() for text in texts)


def table() -> str:
    """The faults as docs/health.md has them."""
    rows = [
        f"| {case.fault} | {case.question} | {case.verdict} | {worst(case).remedy} |"
        for case in FAULTS
    ]
    return "\n".join(
        ["| fault | question | verdict | remedy |", "| --- | --- | --- | --- |", *rows]
    )


def test_page_has_the_table() -> None:
    assert table() in (HOME / "docs/health.md").read_text(), (
        "renew it: PYTHONPATH=. python tests/test_health_faults.py"
    )


if __name__ == "__main__":
    print(table())  # noqa: T201
