"""`health --hook`: by itself over the double of NVML, and as a real Slurm calls it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

import nvml_double as double
from helpers import HOME
from jaxpad import health, nvml
from jaxpad.cli import health_hook
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict
from jaxpad.health.slurm_hook import FAULT, Own, decide, named, own
from jaxpad.nvml import MigDevice, Snapshot
from slurm_cluster import HOOKS, TEMPLATE, SlurmCluster
from test_health import finding
from test_health_machine import H100, QUIET, SHOWN, seen

ECC = {"1.TotalEccErrors.1.0": 2}  # of GPU 1
WELL: Mapping[str, Any] = {}
ILL = finding(Verdict.FAIL, "ecc", gpu=1)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, ()),
        ({"SLURM_JOB_GPUS": "0,1"}, ("0", "1")),
        ({"SLURM_JOB_GPUS": "0-2,5"}, ("0", "1", "2", "5")),
        ({"SLURM_STEP_GPUS": "3"}, ("3",)),
        ({"SLURM_JOB_GPUS": "", "CUDA_VISIBLE_DEVICES": "NoDevFiles"}, ()),
        ({"SLURM_JOB_GPUS": "2", "CUDA_VISIBLE_DEVICES": "GPU-3fa"}, ("GPU-3fa",)),
        ({"SLURM_JOB_GPUS": "9", "CUDA_VISIBLE_DEVICES": "MIG-1,MIG-2"}, ("MIG-1", "MIG-2")),
        ({"SLURM_JOB_GPUS": "gpu:2(IDX:0)"}, None),
        ({"SLURM_JOB_GPUS": "1-"}, None),
        ({"SLURM_JOB_GPUS": "0-99999999"}, None),
        ({"SLURM_JOB_GPUS": ","}, None),
    ],
)
def test_words_of_slurm(environ: Mapping[str, str], words: tuple[str, ...] | None) -> None:
    assert named(environ) == words


def minors(snapshot: Snapshot, *numbers: int | None) -> Snapshot:
    gpus = [
        replace(gpu, identity=replace(gpu.identity, minor_number=Reading(number, "x")))
        for gpu, number in zip(snapshot.gpus, numbers, strict=False)
    ]
    return replace(snapshot, gpus=tuple(gpus))


def test_own_gpus() -> None:
    h100 = seen(H100)
    uuid = h100.gpus[5].identity.uuid.value
    assert own(h100, ("0", "3")) == (Own(frozenset({0, 3})),)
    assert own(h100, (str(uuid),)) == (Own(frozenset({5})),)
    assert own(h100, ("9",)) == (Own(frozenset(), gone=True),)
    assert own(h100, ("GPU-gone",)) == (Own(frozenset(), gone=True),)
    swapped = minors(h100, 1, 0)
    assert own(swapped, ("0",)) == (Own(frozenset({0})), Own(frozenset({1})))
    assert own(minors(h100, None, 1), ("0",)) == (Own(frozenset({0})),)


def test_slices_only_by_uuid() -> None:
    sliced = seen("a100-mig")
    slices: tuple[MigDevice, ...] = sliced.gpus[0].mig.devices.value or ()
    assert own(sliced, ("0",)) == ()
    assert own(sliced, (str(slices[0].uuid.value),)) == (Own(frozenset({0})),)
    assert "slices" in decide("prolog", [ILL], sliced, {"SLURM_JOB_GPUS": "0"}).doubt


def code(
    hook: str, *findings: health.Finding, snapshot: Snapshot | None = None, **environ: str
) -> int:
    return decide(hook, findings, snapshot or seen(H100), environ).code


def test_only_own_gpus_fail_a_job() -> None:
    assert code("prolog", ILL, SLURM_JOB_GPUS="0,1") == FAULT
    assert code("epilog", ILL, SLURM_JOB_GPUS="0,2") == 0
    assert code("prolog", ILL) == 0, "a job without a GPU"
    assert code("prolog", ILL, SLURM_JOB_GPUS="?") == 0
    assert code("healthcheck", ILL) == FAULT


def test_doubt_fails_nobody() -> None:
    doubts = [finding(verdict, "ecc", gpu=0) for verdict in Verdict if verdict is not Verdict.FAIL]
    for hook in HOOKS:
        assert code(hook, *doubts, SLURM_JOB_GPUS="0") == 0


def test_two_readings_must_agree() -> None:
    swapped = minors(seen(H100), 1, 0)
    other = finding(Verdict.FAIL, "ecc", gpu=0)
    assert code("prolog", ILL, snapshot=swapped, SLURM_JOB_GPUS="1") == 0
    assert code("prolog", ILL, other, snapshot=swapped, SLURM_JOB_GPUS="1") == FAULT


def test_faults_of_the_node() -> None:
    driver = finding(Verdict.FAIL, "driver", gpu=None)
    count = finding(Verdict.FAIL, "count", gpu=None)
    assert code("prolog", driver, SLURM_JOB_GPUS="0") == FAULT
    assert code("prolog", count, SLURM_JOB_GPUS="0") == 0, "another GPU fell off the bus"
    assert code("prolog", count, SLURM_JOB_GPUS="8") == FAULT, "the job's own did"
    ports = finding(Verdict.FAIL, "ports", gpu=None)
    assert code("prolog", ports, SLURM_JOB_GPUS="0") == 0
    assert code("healthcheck", ports) == FAULT


def hook(
    name: str, *more: str, scenario: str = H100, changes: Mapping[str, Any] = WELL, **environ: str
) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "health", "--hook", name, *more]
    variables = double.environ(scenario, changes) | environ
    return subprocess.run(argv, env=variables, cwd=HOME, capture_output=True, text=True)


def test_command() -> None:
    ill = hook("prolog", changes=ECC, SLURM_JOB_GPUS="0,1")
    assert (ill.returncode, ill.stdout) == (FAULT, "")
    assert ill.stderr.startswith("jaxpad: prolog: GPU 1 ecc: ")
    well = hook("prolog", changes=ECC, SLURM_JOB_GPUS="0")
    assert (well.returncode, well.stdout, well.stderr) == (0, "", "")


Given = TypeVar("Given")


def in_time(limit_s: float, at_once: Callable[[], object], call: Callable[[], Given]) -> Given:
    """What `call` gives, `limit_s` after what it takes where there is nothing to ask.

    That is what starting programs costs now. A busy machine may be late; what hangs always is.
    """
    took = []
    for _ in range(3):
        begun = time.monotonic()
        at_once()
        asked = time.monotonic()
        found = call()
        took.append(time.monotonic() - asked)
        if took[-1] < limit_s + asked - begun:
            return found
    raise AssertionError(f"late three times: {took}")


@pytest.mark.parametrize("scenario", ["hangs", "crashes", "garbage", "no-permission"])
def test_undecided_in_time(scenario: str) -> None:
    def asked(**job: str) -> subprocess.CompletedProcess[str]:
        return hook("prolog", scenario=scenario, changes=WELL, **job)

    done = in_time(9, asked, lambda: asked(SLURM_JOB_GPUS="0"))
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ["--thresholds", "/nowhere.toml"],
        ["--expect", "eight"],
        ["--no-such-option"],
        ["--drain"],
    ],
)
def test_a_slip_drains_nobody(words: list[str]) -> None:
    done = hook("prolog", *words, changes=ECC, SLURM_JOB_GPUS="1")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("jaxpad: ")


def test_a_bug_drains_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(health, "look", broken)
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    assert health_hook.health_hook("prolog") == 0
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_a_hang_of_ours_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_hook, "ALL_S", 0.2)
    monkeypatch.setattr(health, "look", lambda **_: time.sleep(30))
    monkeypatch.setenv("SLURM_JOB_GPUS", "0")
    begun = time.monotonic()
    assert health_hook.health_hook("prolog") == 0
    assert time.monotonic() - begun < 5


def looks(monkeypatch: pytest.MonkeyPatch, *scenes: Mapping[str, Any]) -> list[float]:
    """Each look sees the next scene; the limits that it was given."""
    taken = [nvml.ask(environ=double.environ(H100, scene)) for scene in scenes]
    found = [replace(snapshot, kernel=QUIET) for snapshot in taken]
    limits: list[float] = []

    def look(limit_s: float = 0, **_: Any) -> tuple[Snapshot, health.Facts]:
        limits.append(limit_s)
        return found.pop(0), SHOWN

    monkeypatch.setattr(health, "look", look)
    monkeypatch.setattr(health_hook, "PAUSE_S", 0.05)
    monkeypatch.setenv("SLURM_JOB_GPUS", "1")
    return limits


@pytest.mark.parametrize("name", HOOKS)
def test_a_fault_that_stays_drains(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    limits = looks(monkeypatch, ECC, ECC)
    assert health_hook.health_hook(name) == FAULT
    assert len(limits) == 2
    assert limits[1] < limits[0], "both within the hook's own time"


@pytest.mark.parametrize("name", HOOKS)
def test_a_fault_that_goes_drains_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    looks(monkeypatch, ECC, WELL)
    assert health_hook.health_hook(name) == 0
    assert "not when looked at again: GPU 1 ecc" in capsys.readouterr().err


def test_two_faults_that_come_and_go_drain_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    looks(monkeypatch, ECC, {"1.ComputeMode": 2})
    assert health_hook.health_hook("prolog") == 0


def test_no_time_to_look_again_drains_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks(monkeypatch, ECC, ECC)
    monkeypatch.setattr(health_hook, "PAUSE_S", 30)
    monkeypatch.setattr(health_hook, "ALL_S", 0.5)
    assert health_hook.health_hook("prolog") == 0
    assert "no answer within 0.5 s" in capsys.readouterr().err


def test_prolog_in_slurm(slurm: SlurmCluster) -> None:
    """The job on the ill GPU does not start, its node is drained; others start."""
    for name in ("n0", "n1"):
        slurm.nvml(name, H100)
    slurm.nvml("n1", H100, ECC)
    slurm.hook("prolog")
    slurm.tell("srun", "--nodelist=n0", "--gpus=2", "true")
    slurm.tell("srun", "--nodelist=n1", "--gpus=1", "true")
    slurm.tell("srun", "--nodelist=n1", "true")
    slurm.run("sbatch", "--nodelist=n1", "--gpus=2", "--output=/dev/null", "--wrap", "true")
    slurm.until(lambda: slurm.state("n1").startswith("drain"), "n1 is drained")
    assert slurm.reason("n1") == "Prolog error"
    assert "GPU 1 ecc" in slurm.said("prolog", "n1")
    slurm.until(lambda: slurm.state("n0") == "idle", "n0 is idle")


def test_prolog_in_doubt_in_slurm(slurm: SlurmCluster) -> None:
    """A driver that hangs: the job starts, within 10 s."""
    slurm.nvml("n2", "hangs")
    slurm.hook("prolog")

    def job(*gpus: str) -> str:
        return slurm.tell("srun", "--nodelist=n2", *gpus, "true")

    in_time(10, job, lambda: job("--gpus=1"))
    assert slurm.code("prolog", "n2") == 0
    slurm.until(lambda: slurm.state("n2") == "idle", "n2 is idle")


def test_epilog_in_slurm(slurm: SlurmCluster) -> None:
    slurm.nvml("n3", H100, ECC)
    slurm.hook("epilog")
    slurm.tell("srun", "--nodelist=n3", "--gpus=1", "true")
    slurm.until(lambda: slurm.code("epilog", "n3") == 0, "the epilog has passed")
    slurm.until(lambda: slurm.state("n3") == "idle", "n3 is idle")
    slurm.tell("srun", "--nodelist=n3", "--gpus=2", "true")
    slurm.until(lambda: slurm.state("n3").startswith("drain"), "n3 is drained")
    assert slurm.reason("n3") == "Epilog error"


def test_healthcheck_in_slurm(slurm: SlurmCluster) -> None:
    """It drains only when it is told to, and leaves an admin's reason alone."""
    for name in ("n0", "n1"):
        slurm.nvml(name, H100)
    slurm.nvml("n1", H100, ECC)
    slurm.hook("healthcheck")
    slurm.until(lambda: slurm.code("healthcheck", "n1") == 1, "the check has failed")
    assert slurm.state("n1") == "idle"
    slurm.hook("healthcheck", "--drain")
    slurm.until(lambda: slurm.state("n1") == "drained", "n1 is drained")
    assert slurm.reason("n1").startswith("jaxpad: GPU 1 ecc: ")
    assert slurm.state("n0") == "idle"
    slurm.tell("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=mine")
    slurm.forget("healthcheck", "n1")
    slurm.until(lambda: slurm.code("healthcheck", "n1") == 1, "it was checked again")
    assert slurm.reason("n1") == "mine"


@pytest.mark.parametrize("jaxpad", ["/nowhere/jaxpad", "false", "python3 -c import nothing"])
def test_template_with_a_broken_jaxpad(tmp_path: Path, jaxpad: str) -> None:
    """Not there, or one whose Python fails: no node is drained for it."""
    launcher = tmp_path / "jaxpad"
    launcher.write_text(f"#!/bin/sh\nexec {jaxpad}\n")
    launcher.chmod(0o755)
    script = tmp_path / "hook"
    script.write_text(TEMPLATE.read_text().replace("/opt/jaxpad/bin/jaxpad", str(launcher)))
    environ = {"SLURM_SCRIPT_CONTEXT": "prolog_slurmd", "SLURM_JOB_GPUS": "0"}
    assert subprocess.run(["sh", script], env=environ, capture_output=True).returncode == 0
