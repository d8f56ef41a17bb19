"""`smoke --on slurm` on a real Slurm of four nodes: JAX on the CPU, with Gloo between them.

Each node has the double of NVML in a scenario of its own. What a run asks of a node by itself is
in test_healthy; the others, which are about what comes of a node, ask its health alone. A run
that several tests read is made once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME
from slurm_cluster import HERE, NODES, SlurmCluster

WELL = "idle-h100-sxm"
ECC = {"1.TotalEccErrors.1.0": 2}
TEMPLATES = HOME / "configs/clusters/slurm"
BRIEF, HEALTH = "test_health or test_jax_starts", "test_health"
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
    """A report folder that all nodes see; every node is well."""
    return well(slurm, "report")


def well(slurm: SlurmCluster, name: str) -> Path:
    for node in NODES:
        slurm.nvml(node, WELL)
    folder = slurm.folder / name
    subprocess.run(["rm", "-rf", folder], check=True)
    return folder


def words(out: Path, nodes: str, *more: str) -> list[str]:
    gpus = [] if "--gpus-per-node" in more else ["--gpus-per-node", "0"]
    asked = [] if "-k" in more else ["-k", HEALTH]
    return ["smoke", "--on", "slurm", "--nodelist", nodes, *gpus, *asked, "--out", str(out), *more]


def smoke(slurm: SlurmCluster, out: Path, nodes: str, *more: str) -> Found:
    done = slurm.jaxpad(*words(out, nodes, *more))
    slurm.until(lambda: not queue(slurm), "no job of ours is left")
    return checked(Found(done.returncode, done.stderr, out))


def checked(found: Found) -> Found:
    """The report says what the exit code says."""
    assert found.fleet["exit_code"] == found.code, found.said
    return found


def queue(slurm: SlurmCluster) -> str:
    return slurm.tell("squeue", "--noheader")


def another(slurm: SlurmCluster, node: str) -> str:
    """Somebody else's job on that node; its id."""
    wanted = ["--parsable", f"--nodelist={node}", "--output=/dev/null", "--wrap", "sleep 600"]
    return slurm.tell("sbatch", *wanted).strip()


def state(slurm: SlurmCluster, job: str) -> str:
    """Of a job: such as RUNNING."""
    return slurm.tell("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip()


def disturb(slurm: SlurmCluster, node: str, how: str) -> None:
    path = os.pathsep.join([str(HERE / "disturbed"), str(HOME)])
    sign = {"JAXPAD_TEST_DISTURBED": str(disturbed(slurm, node))}
    disturbed(slurm, node).unlink(missing_ok=True)
    slurm.more_environ(node, {"JAXPAD_TEST_DISTURB": how, "PYTHONPATH": path, **sign})


def disturbed(slurm: SlurmCluster, node: str) -> Path:
    """A file that is there once the node hangs."""
    return slurm.folder / f"disturbed.{node}"


def test_healthy(slurm: SlurmCluster, out: Path) -> None:
    """Two GPUs a node by Slurm's account, so two processes on each; JAX takes the CPU."""
    asked = ["--gpus-per-node", "2", "--platform", "cpu", "--profile", "base", "--pairwise"]
    found = smoke(slurm, out, "n[0-1]", "-k", BRIEF, *asked)
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


@dataclass(frozen=True)
class Untested(Found):
    """A run over nodes of which most cannot be tested."""

    other: str  # the state of somebody else's job, after it


@pytest.fixture(scope="module")
def untested(slurm_of_session: SlurmCluster) -> Untested:
    """n0 is well, n1 has somebody else's job, the slurmd of n2 answers nothing, n3 is down."""
    slurm = slurm_of_session
    slurm.reset()
    out, other = well(slurm, "untested"), another(slurm, "n1")
    slurm.tell("scontrol", "update", "NodeName=n3", "State=DOWN", "Reason=power supply")
    slurm.until(lambda: state(slurm, other) == "RUNNING", "the other's job runs")
    with stopped(slurm, "n2"):
        done = slurm.jaxpad(*words(out, "n[0-3]", "--wait", "5"))
    return Untested(done.returncode, done.stderr, out, state(slurm, other))


@contextlib.contextmanager
def stopped(slurm: SlurmCluster, node: str) -> Iterator[None]:
    pid = (slurm.folder / f"run/slurmd-{node}.pid").read_text().strip()
    slurm.tell("kill", "-STOP", pid)
    try:
        yield
    finally:
        slurm.tell("kill", "-CONT", pid)


def test_not_tested_is_no_pass(untested: Untested) -> None:
    """The node that is well passes, the others are inconclusive, and so is the whole."""
    assert checked(untested).code == 3, untested.said
    unsure = dict.fromkeys(("n1", "n2", "n3"), "inconclusive")
    assert untested.verdicts() == {"n0": "pass", **unsure}, untested.said


def test_down_node(untested: Untested) -> None:
    assert "down: power supply" in untested.node("n3")["reasons"][0]
    assert not (untested.out / "nodes/n3").exists()


def test_node_that_never_starts(untested: Untested) -> None:
    """Slurm takes it for idle, and its slurmd answers nothing."""
    assert untested.node("n2")["reasons"][0].startswith("not tested")


def test_busy_node(untested: Untested) -> None:
    """Somebody else's job is not waited for without end, nor harmed."""
    assert "busy: still pending after 5 s" in untested.node("n1")["reasons"][0]
    assert untested.other == "RUNNING"


@dataclass(frozen=True)
class Hung:
    """Two runs at once, each over a node that is well and one whose suite hangs."""

    limited: Found  # n1's job met its time limit
    interrupted: Found  # a signal came while n3's job ran
    other: str  # the state of somebody else's job on n0, after the signal


@pytest.fixture(scope="module")
def hung(slurm_of_session: SlurmCluster) -> Hung:
    slurm = slurm_of_session
    slurm.reset()
    first, second = well(slurm, "limited"), well(slurm, "interrupted")
    disturb(slurm, "n1", "hang")
    disturb(slurm, "n3", "hang")
    with ThreadPoolExecutor(1) as pool:
        limited = pool.submit(meets_limit, slurm, first)
        slurm.until((first / "nodes/n0/report.html").exists, "n0 is done")
        other = another(slurm, "n0")
        found = interrupted(
            slurm,
            second,
            "n[2-3]",
            signal.SIGINT,
            lambda said: (
                "n2: pass" in said
                and disturbed(slurm, "n3").exists()
                and state(slurm, other) == "RUNNING"
            ),
        )
        slurm.until(lambda: "n3" not in running(slurm), "our jobs are gone")
        return Hung(limited.result(), found, state(slurm, other))


def meets_limit(slurm: SlurmCluster, out: Path) -> Found:
    """A run over n0 and n1 whose jobs may take a minute: n1's is over once its suite hangs."""
    argv = slurm.argv(sys.executable, "-m", "jaxpad", *words(out, "n[0-1]", "--time", "00:01:00"))
    with subprocess.Popen(argv, env=slurm.environ(), stderr=subprocess.PIPE, text=True) as run:
        slurm.until(lambda: {"n0", "n1"} <= set(running(slurm)), "both jobs run")
        asked = ["squeue", "--noheader", "--nodelist=n0,n1", "--format=%N %i %l"]
        limits = [line.split() for line in slurm.tell(*asked).splitlines()]
        assert [limit for _, _, limit in limits] == ["1:00", "1:00"]
        for _, job, _ in limits:  # a busy machine may take longer
            slurm.tell("scontrol", "update", f"JobId={job}", "TimeLimit=10")
        slurm.until(disturbed(slurm, "n1").exists, "n1's suite hangs")
        n1 = next(job for name, job, _ in limits if name == "n1")
        slurm.tell("scontrol", "update", f"JobId={n1}", "EndTime=now")
        _, stderr = run.communicate(timeout=300)
    return checked(Found(run.returncode, stderr, out))


def running(slurm: SlurmCluster) -> list[str]:
    """Nodes that have a job."""
    return slurm.tell("squeue", "--noheader", "--format=%N").split()


def test_time_limit(hung: Hung) -> None:
    """Slurm counts in minutes. The report has what was found out until then."""
    found = hung.limited
    assert found.code == 3, found.said
    assert found.verdicts() == {"n0": "pass", "n1": "inconclusive"}, found.said
    assert "TIMEOUT" in found.node("n1")["reasons"][0]
    report = json.loads((found.out / "nodes/n1/smoke.json").read_text())
    assert report["verdict"] == "inconclusive"


def test_cancelled(hung: Hung) -> None:
    """What has landed is kept, our jobs are cancelled, another's is not."""
    found = hung.interrupted
    assert found.verdicts() == {"n2": "pass", "n3": "inconclusive"}, found.said
    assert "SIGINT" in found.node("n3")["reasons"][0]
    assert hung.other == "RUNNING"


def test_cancelled_in_the_run_of_all(slurm: SlurmCluster, out: Path) -> None:
    """No node is blamed for processes that we ended."""
    begun = out / "multi/rank-1.json"
    found = interrupted(slurm, out, "n[0-1]", signal.SIGTERM, lambda _: begun.exists())
    assert found.verdicts() == {"n0": "pass", "n1": "pass"}
    assert "interrupted by SIGTERM" in found.stderr
    slurm.until(lambda: not queue(slurm), "our jobs are gone")


def interrupted(
    slurm: SlurmCluster, out: Path, nodes: str, number: signal.Signals, when: Callable[[str], bool]
) -> Found:
    """A run that gets a signal once `when` holds of what it said so far; it is inconclusive."""
    argv = slurm.argv(sys.executable, "-m", "jaxpad", *words(out, nodes))
    said = out.with_suffix(".stderr")
    with (
        said.open("w") as stderr,
        subprocess.Popen(argv, env=slurm.environ(), stderr=stderr, start_new_session=True) as run,
    ):
        slurm.until(lambda: when(said.read_text()), f"{number.name} is due")
        os.kill(slurm.child_of(run.pid), number)
        run.wait(timeout=120)
    found = Found(run.returncode, said.read_text(), out)
    assert found.code == 128 + number, found.said
    checked(replace(found, code=3))  # what the fleet's own files say
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
    path = os.pathsep.join([str(Path(sys.executable).parent), slurm.environ()["PATH"]])
    for node in NODES:
        slurm.node_environ(node, {"JAX_PLATFORMS": "cpu", "PATH": path})
    done = slurm.run("sbatch", *smaller, *place, str(TEMPLATES / "train.sbatch"))
    assert done.returncode == 0, log.read_text()
    assert log.read_text().count("processes 4 devices 4") == 4
