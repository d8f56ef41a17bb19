"""`smoke --on slurm` on a real Slurm of four nodes: JAX on the CPU, with Gloo between them.

Each node has the double of NVML in a scenario of its own.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME
from slurm_cluster import HERE, NODES, SlurmCluster

WELL = "idle-h100-sxm"
ECC = {"1.TotalEccErrors.1.0": 2}
TEMPLATES = HOME / "configs/clusters/slurm"
BRIEF = "test_health or test_jax_starts"
TRAIN = """
import jax
jax.distributed.initialize(initialization_timeout=60)
print("processes", jax.process_count(), "devices", jax.device_count(), flush=True)
"""


@dataclass(frozen=True)
class Found:
    """What `jaxpad smoke --on slurm` left behind."""

    code: int
    stderr: str
    out: Path

    @property
    def fleet(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "fleet.json").read_text())
        return found

    @property
    def multi(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "multi/multi.json").read_text())
        return found

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(n for n in self.fleet["nodes"] if n["name"] == name)
        return found

    def verdicts(self) -> dict[str, str]:
        return {node["name"]: node["verdict"] for node in self.fleet["nodes"]}

    @property
    def said(self) -> str:
        """For the message of a failed assertion."""
        logs = sorted((self.out / "logs").glob("*"))
        return "\n".join([self.stderr, *(f"== {log}\n{log.read_text()[-2000:]}" for log in logs)])


@pytest.fixture
def out(slurm: SlurmCluster) -> Path:
    """A report folder that all nodes see."""
    for node in NODES:
        slurm.nvml(node, WELL)
    folder = slurm.folder / "report"
    subprocess.run(["rm", "-rf", folder], check=True)
    return folder


def words(out: Path, nodes: str, *more: str) -> list[str]:
    gpus = [] if "--gpus-per-node" in more else ["--gpus-per-node", "0"]
    asked = ["--on", "slurm", "--nodelist", nodes, *gpus]
    return ["smoke", *asked, "--out", str(out), "-k", BRIEF, *more]


def smoke(slurm: SlurmCluster, out: Path, nodes: str, *more: str) -> Found:
    done = slurm.jaxpad(*words(out, nodes, *more))
    slurm.until(lambda: not queue(slurm), "no job of ours is left")
    found = Found(done.returncode, done.stderr, out)
    assert found.fleet["exit_code"] == found.code, found.said
    return found


def queue(slurm: SlurmCluster) -> str:
    return slurm.tell("squeue", "--noheader")


def running(slurm: SlurmCluster) -> list[str]:
    """Nodes that have a job."""
    return slurm.tell("squeue", "--noheader", "--format=%N").split()


def disturb(slurm: SlurmCluster, node: str, how: str) -> None:
    path = os.pathsep.join([str(HERE / "disturbed"), str(HOME)])
    slurm.more_environ(node, {"JAXPAD_TEST_DISTURB": how, "PYTHONPATH": path})


def test_healthy(slurm: SlurmCluster, out: Path) -> None:
    """Two GPUs a node by Slurm's account, so two processes on each; JAX takes the CPU."""
    asked = ["--gpus-per-node", "2", "--platform", "cpu", "--profile", "base", "--pairwise"]
    found = smoke(slurm, out, "n[0-1]", *asked)
    assert found.code == 0, found.said
    assert found.verdicts() == {"n0": "pass", "n1": "pass"}
    assert found.multi["verdict"] == "pass"
    assert [rank["node"] for rank in found.multi["ranks"]] == ["n0", "n0", "n1", "n1"]
    assert (out / "fleet.html").stat().st_size > 1000
    assert "[2/2]" in found.stderr
    for node in ("n0", "n1"):
        report = json.loads((out / f"nodes/{node}/smoke.json").read_text())
        assert report["verdict"] == "pass"
        assert any(check["file"] == "test_health.py" for check in report["checks"])


def test_ecc_errors(slurm: SlurmCluster, out: Path) -> None:
    """The ill node is named with the reason, and the run of all leaves it out."""
    slurm.nvml("n1", WELL, ECC)
    found = smoke(slurm, out, "n[0-2]")
    assert found.code == 1, found.said
    assert found.verdicts() == {"n0": "pass", "n1": "fail", "n2": "pass"}
    assert any("test_ecc" in reason for reason in found.node("n1")["reasons"])
    assert "n1" in found.stderr.partition("What to do next")[2]
    assert found.multi["verdict"] == "pass"
    assert {node["node"] for node in found.multi["nodes"]} == {"n0", "n2"}


def test_slow_node(slurm: SlurmCluster, out: Path) -> None:
    disturb(slurm, "n1", "slow")
    found = smoke(slurm, out, "n[0-1]")
    assert found.code in (1, 3), found.said
    assert {one["node"] for one in found.multi["blame"]} == {"n1"}, found.said
    assert found.verdicts()["n0"] == "pass"
    assert found.verdicts()["n1"] == found.multi["verdict"] != "pass"


def test_killed_rank(slurm: SlurmCluster, out: Path) -> None:
    disturb(slurm, "n1", "kill")
    found = smoke(slurm, out, "n[0-1]")
    assert found.code in (1, 3), found.said
    assert found.multi["verdict"] != "pass"
    assert {one["node"] for one in found.multi["blame"]} == {"n1"}, found.said
    assert any("multi-process run" in reason for reason in found.node("n1")["reasons"])
    left = slurm.run("pgrep", "--full", "jaxpad multi")
    assert not left.stdout, "no process is left behind"


def test_down_node(slurm: SlurmCluster, out: Path) -> None:
    slurm.tell("scontrol", "update", "NodeName=n3", "State=DOWN", "Reason=power supply")
    found = smoke(slurm, out, "n[0,3]")
    assert found.code == 3, found.said
    assert found.verdicts() == {"n0": "pass", "n3": "inconclusive"}
    assert "down: power supply" in found.node("n3")["reasons"][0]
    assert not (out / "nodes/n3").exists()


def test_node_that_never_starts(slurm: SlurmCluster, out: Path) -> None:
    """Slurm takes it for idle, and its slurmd answers nothing."""
    with stopped(slurm, "n3"):
        found = smoke(slurm, out, "n[2-3]", "--wait", "5")
    assert found.code == 3, found.said
    assert found.verdicts() == {"n2": "pass", "n3": "inconclusive"}
    assert found.node("n3")["reasons"][0].startswith("not tested")


@contextlib.contextmanager
def stopped(slurm: SlurmCluster, node: str) -> Iterator[None]:
    pid = (slurm.folder / f"run/slurmd-{node}.pid").read_text().strip()
    slurm.tell("kill", "-STOP", pid)
    try:
        yield
    finally:
        slurm.tell("kill", "-CONT", pid)


def test_busy_node(slurm: SlurmCluster, out: Path) -> None:
    """Somebody else's job is not waited for without end, nor harmed."""
    other = ["sbatch", "--parsable", "--nodelist=n1", "--output=/dev/null", "--wrap", "sleep 600"]
    job = slurm.tell(*other).strip()
    done = slurm.jaxpad(*words(out, "n[0-1]", "--wait", "3"))
    found = Found(done.returncode, done.stderr, out)
    assert found.code == 3, found.said
    assert "busy: still pending after 3 s" in found.node("n1")["reasons"][0]
    assert queue(slurm).split()[0] == job
    assert found.verdicts()["n0"] == "pass"


def test_time_limit(slurm: SlurmCluster, out: Path) -> None:
    """Slurm counts in minutes. The report has what was found out until then."""
    disturb(slurm, "n1", "hang")
    found = smoke(slurm, out, "n[0-1]", "--time", "00:01:00")
    assert found.code == 3, found.said
    assert found.verdicts() == {"n0": "pass", "n1": "inconclusive"}
    assert "TIMEOUT" in found.node("n1")["reasons"][0]
    report = json.loads((out / "nodes/n1/smoke.json").read_text())
    assert report["verdict"] == "inconclusive"


def test_cancelled(slurm: SlurmCluster, out: Path) -> None:
    """What has landed is kept, our jobs are cancelled, another's is not."""
    disturb(slurm, "n1", "hang")
    other = ["sbatch", "--parsable", "--nodelist=n3", "--output=/dev/null", "--wrap", "sleep 600"]
    job = slurm.tell(*other).strip()

    def one_landed() -> None:
        slurm.until(lambda: (out / "nodes/n0/report.html").exists(), "n0 is done", 90)
        slurm.until(lambda: "n0" not in running(slurm), "n0's job has ended", 60)
        time.sleep(2)  # until we are told so

    found = interrupted(slurm, out, signal.SIGINT, one_landed)
    assert found.verdicts() == {"n0": "pass", "n1": "inconclusive"}
    assert "SIGINT" in found.node("n1")["reasons"][0]
    slurm.until(lambda: queue(slurm).split()[:1] == [job], "our jobs are gone")
    assert len(queue(slurm).splitlines()) == 1


def test_cancelled_in_the_run_of_all(slurm: SlurmCluster, out: Path) -> None:
    """No node is blamed for processes that we ended."""
    begun = out / "multi/rank-1.json"
    until = functools.partial(slurm.until, begun.exists, "the processes start", 120)
    found = interrupted(slurm, out, signal.SIGTERM, until)
    assert found.verdicts() == {"n0": "pass", "n1": "pass"}
    assert "interrupted by SIGTERM" in found.stderr
    slurm.until(lambda: not queue(slurm), "our jobs are gone")


def interrupted(
    slurm: SlurmCluster, out: Path, number: signal.Signals, until: Callable[[], None]
) -> Found:
    """A run of n0 and n1 that gets a signal once `until` returns; it is inconclusive."""
    argv = slurm.argv(sys.executable, "-m", "jaxpad", *words(out, "n[0-1]"))
    with subprocess.Popen(
        argv, env=slurm.environ(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        until()
        os.kill(slurm.child_of(run.pid), number)
        _, stderr = run.communicate(timeout=60)
    found = Found(run.returncode, stderr, out)
    assert found.code == found.fleet["exit_code"] == 3, found.said
    return found


def test_report_folder_is_not_shared(slurm: SlurmCluster, out: Path) -> None:
    """The nodes write elsewhere: said as such, not as a fault of theirs."""
    out.mkdir()
    apart = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$1" && shift && exec "$@"']
    argv = [*apart, "sh", str(out), sys.executable, "-m", "jaxpad", *words(out, "n0")]
    done = slurm.run(*argv)
    assert done.returncode == 3, done.stderr
    assert "must be on a file system that this machine and all nodes share" in " ".join(
        done.stderr.split()
    )


def test_unknown_to_slurm(slurm: SlurmCluster, out: Path) -> None:
    """A mistake is one sentence and 2, before any job."""
    cases: Mapping[str, list[str]] = {
        "n9": words(out, "n9"),
        "no-such-partition": words(out, "n0", "--partition", "no-such-partition"),
        "no-such-reservation": words(out, "n0", "--reservation", "no-such-reservation"),
        "9 asked": ["smoke", "--on", "slurm", "--nodes", "9", "--out", str(out)],
    }
    for name, asked in cases.items():
        done = slurm.jaxpad(*asked)
        assert done.returncode == 2, f"{name}: {done.stderr}"
        assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not out.exists()


def test_dry_run(slurm: SlurmCluster, out: Path) -> None:
    """Every line is one that Slurm takes as it stands; nothing is run or written."""
    asked = ["smoke", "--on", "slurm", "--nodes", "2", "--exclude", "n1", "--out", str(out)]
    done = slurm.jaxpad(*asked, "--dry-run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["sinfo", "sbatch", "sbatch", "sbatch"]
    assert "--nodelist=n0,n2" in lines[-1]
    assert "--ntasks-per-node=2" in lines[-1]
    assert not queue(slurm)
    assert not out.exists()
    for line in lines[1:]:
        slurm.tell("sh", "-c", line.replace("sbatch", "sbatch --test-only", 1))


def test_reservation(slurm: SlurmCluster, out: Path) -> None:
    held = ["ReservationName=maint", "Nodes=n2", "Users=root", "StartTime=now", "Duration=10"]
    slurm.tell("scontrol", "create", "reservation", *held)
    try:
        asked = ["smoke", "--on", "slurm", "--reservation", "maint", "--out", str(out)]
        done = slurm.jaxpad(*asked, "--dry-run")
    finally:
        slurm.tell("scontrol", "delete", "ReservationName=maint")
    assert done.returncode == 0, done.stderr
    assert "--nodelist=n2" in done.stdout
    assert "--reservation=maint" in done.stdout


@pytest.mark.parametrize("name", ["train.sbatch", "train-pyxis.sbatch", "train-apptainer.sbatch"])
def test_templates_are_taken(slurm: SlurmCluster, name: str) -> None:
    smaller = ["--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=2"]
    slurm.tell("sbatch", "--test-only", *smaller, str(TEMPLATES / name))


def test_training_template(slurm: SlurmCluster) -> None:
    """JAX finds its peers in it, with a process for each GPU."""
    (slurm.folder / "train.py").write_text(TRAIN)
    log = slurm.folder / "train.log"
    smaller = ["--nodes=2", "--ntasks-per-node=2", "--gpus-per-node=2"]
    place = [f"--output={log}", f"--chdir={slurm.folder}", "--wait"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for node in NODES:
        slurm.node_environ(node, {"JAX_PLATFORMS": "cpu", "PATH": path})
    done = slurm.run("sbatch", *smaller, *place, str(TEMPLATES / "train.sbatch"))
    assert done.returncode == 0, log.read_text()
    assert log.read_text().count("processes 4 devices 4") == 4
