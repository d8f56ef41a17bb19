"""Each fault that one look can show: its verdict, the question that finds it, its remedy.

Through unmodified nvidia-ml-py over the double of libnvidia-ml.so.1, in a child; sysfs and
the kernel's log are folders laid out here. `PYTHONPATH=. python` on this file prints the
table of docs/health.md.
"""

from __future__ import annotations

import dataclasses
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

import nvml_double as double
from health_cases import FAIL, FAULTS, IDLE, UNSURE, Case, log, port, switched
from helpers import HOME
from jaxpad import health
from jaxpad.core import bounds
from jaxpad.core.results import Verdict
from jaxpad.health import Finding, Health
from test_health_machine import Machine

ORDER = (FAIL, UNSURE, Verdict.PASS, Verdict.NOT_APPLICABLE)
OWN_CLOCKS = {
    f"{gpu}.{key}": value
    for gpu in range(8)
    for key, value in {
        "ApplicationsClock.0": 1410,
        "DefaultApplicationsClock.0": 1410,
        "ClockInfo.0": 1410,
        "ClockInfo.1": 1410,
        "CurrentClocksEventReasons": 2,
    }.items()
}
LOCKED_HIGH = {"2.ClockInfo.0": 1980, "2.ClockInfo.1": 1980, "2.CurrentClocksEventReasons": 2}
ALL_LINKS = {f"{gpu}.Field.163.{link}": 5000 for gpu in range(8) for link in range(18)}
SLOTS = {f"{gpu}.{call}PcieLinkGeneration": 4 for gpu in range(8) for call in ("Max", "Curr")}
BELOW = {
    "2.TotalEccErrors.1.1": 9,
    "2.SramEccErrorStatus.aggregateUncParity": 9,
    "2.SramEccErrorStatus.bThresholdExceeded": 0,
}
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
    Case("a DGX Spark", "sense", Verdict.PASS, "", "gb10"),
    Case("a DGX Spark before a job", "busy", Verdict.PASS, "", "gb10", options=IDLE),
    Case(
        "a DGX Spark that says 0 bytes",
        "sense",
        Verdict.PASS,
        "",
        "gb10",
        {
            f"0.{call}.{part}": 0
            for call in ("MemoryInfo", "MemoryInfo_v2")
            for part in ("total", "free", "used")
        },
    ),
    Case("a Jetson", "answers", Verdict.PASS, "", "jetson-orin", options=IDLE),
    Case("the board's own application clocks", "clocks", Verdict.PASS, "", changes=OWN_CLOCKS),
    Case("clocks locked at the highest", "clocks", Verdict.PASS, "", changes=LOCKED_HIGH),
    Case("a few errors of a link", "nvlink errors", Verdict.PASS, "", changes={"3.Field.163.5": 7}),
    Case("as many errors as all links", "nvlink errors", Verdict.PASS, "", changes=ALL_LINKS),
    Case("every GPU in a slower slot", "pcie", Verdict.PASS, "", changes=SLOTS),
    Case("SRAM errors below the threshold", "ecc", Verdict.PASS, "", changes=BELOW),
    Case(
        "the fabric manager beside NVSwitches",
        "answers",
        Verdict.PASS,
        "",
        changes={f"{gpu}.GpuFabricInfo": "!NotSupported" for gpu in range(8)},
        lay=switched("nv-fabricmanage"),
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
