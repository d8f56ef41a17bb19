"""`jaxpad multi` as users start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ports
from helpers import HOME, environ
from jaxpad import multi
from jaxpad.core.results import Verdict


def start(out: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "jaxpad", "multi", "--out", str(out), *options],
        env=environ(**variables),
        cwd=HOME,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def step(rank: int, port: int = 1) -> dict[str, str]:
    """A task of a Slurm step of two nodes with one task each, both on this machine."""
    return {
        "SLURM_JOB_ID": "77",
        "SLURM_STEP_NODELIST": "n[0-1]",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_TASKS_PER_NODE": "1(x2)",
        "SLURM_PROCID": str(rank),
        "SLURM_NODEID": str(rank),
        "SLURM_LOCALID": "0",
        "JAXPAD_COORDINATOR": f"localhost:{port}",
    }


def test_a_slurm_step_and_its_merge(tmp_path: Path) -> None:
    port = ports.free()
    both = [start(tmp_path, "--platform", "cpu", **step(rank, port)) for rank in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=100)
        assert process.returncode == 0, stderr
        assert stdout.startswith("pass: rank")
    merged = start(tmp_path, "--read", "--json", "--expect-processes", "2")
    report = json.loads(merged.communicate(timeout=60)[0])
    assert (merged.returncode, report["verdict"]) == (0, "pass")
    assert [one["node"] for one in report["nodes"]] == ["n0", "n1"]
    short = start(tmp_path, "--read", "--expect-processes", "3")
    assert "did not start" in short.communicate(timeout=60)[0]
    assert short.returncode == 3


def test_no_job_is_a_usage_error(tmp_path: Path) -> None:
    process = start(tmp_path)
    stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, stderr.count("\n")) == (2, 1)
    assert "srun" in stderr


def test_a_task_without_a_gpu_leaves_its_reason(tmp_path: Path) -> None:
    """It exits 2 before JAX starts, and its peers' merge still names it."""
    more = {"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_LOCALID": "2", "SLURM_STEP_TASKS_PER_NODE": "3,1"}
    process = start(tmp_path, "--platform", "gpu", **(step(0) | more))
    stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, stderr.count("\n")) == (2, 1)
    report = multi.merge(tmp_path, multi.Expected(processes=1))
    assert report.verdict is Verdict.FAIL
    assert "sees 2 GPUs only" in report.why


def test_cpu_where_a_gpu_was_asked_for(tmp_path: Path) -> None:
    """No fall back: the process ends with the cause."""
    variables = {
        "JAXPAD_PROCESS": "0",
        "JAXPAD_PROCESSES": "1",
        "JAXPAD_COORDINATOR": f"localhost:{ports.free()}",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    process = start(tmp_path, "--platform", "gpu", **variables)
    stdout = process.communicate(timeout=100)[0]
    assert process.returncode == 1
    assert "fail  platform: CUDA_VISIBLE_DEVICES='-1' hides every GPU" in stdout
