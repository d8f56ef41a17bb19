"""A real Slurm of four nodes on this machine: munge, slurmctld, and slurmd for n0 to n3.

It runs in namespaces of its own (network, mounts, processes), so that it meets no other Slurm
and leaves nothing behind; it needs root, and Debian's slurm-wlm and munge. A part that does not
start is a failure.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import nvml_double as double
import programs
from helpers import HOME, environ as base_environ

NODES = ("n0", "n1", "n2", "n3")
TEMPLATE = HOME / "configs/clusters/slurm/hook"
HERE = Path(__file__).parent / "slurm"
PROGRAMS = ("sbatch", "slurmctld", "slurmd", "munged", "unshare", "nsenter", "ip")
HOOKS = ("prolog", "epilog", "healthcheck")
LIMIT_S = 120.0  # for what takes seconds on an idle machine

# Prints the variables of the node, which is how each gets an NVML of its own.
_TASK_PROLOG = """#!/bin/sh
exec sed 's/^/export /' {folder}/nodes/"$SLURMD_NODENAME"
"""
# The node's variables for a hook, too, which inherits none of a job's. slurmd calls the health
# check every two seconds: one that finds the last one still at work leaves the node to it.
_HOOK = """#!/bin/sh
node=${{SLURMD_NODENAME:?}}
exec 9>{folder}/hooks/{name}.$node.lock
flock --nonblock 9 || [ {name} != healthcheck ] || exit 0
[ -x {folder}/hooks/{name}.on ] || exit 0
while IFS= read -r setting; do export "$setting"; done <{folder}/nodes/"$node"
export SLURM_CONF={folder}/etc/slurm.conf
said={folder}/hooks/{name}.$node
{folder}/hooks/{name}.on >"$said.out" 2>&1 9>&-
code=$?
echo $code >"$said.new" && mv "$said.new" "$said.code"
exit $code
"""


@dataclass
class SlurmCluster:
    """What tests do with it. `folder` is seen by all nodes, as a shared file system is."""

    folder: Path
    holder: subprocess.Popen[bytes] | None = None
    _inner: int = field(default=0)

    @property
    def conf(self) -> Path:
        return self.folder / "etc/slurm.conf"

    def start(self) -> None:
        """Raises AssertionError, with the logs, where a part does not start."""
        slurmctld = _slurmctld()
        assert slurmctld, f"{slurmctld.said}; apt-get install slurm-wlm munge"
        print(slurmctld.said)  # noqa: T201 - told where a test fails
        lacking = [name for name in PROGRAMS if not shutil.which(name, path=_path())]
        assert not lacking, f"a Slurm needs {', '.join(lacking)}: apt-get install slurm-wlm munge"
        assert os.geteuid() == 0, "a Slurm of several nodes on one machine needs root"
        self._lay()
        isolated = ["--mount", "--pid", "--fork", "--net", "--mount-proc", "--kill-child"]
        argv = ["unshare", *isolated, str(HERE / "start"), str(self.folder)]
        with (self.folder / "log/start.log").open("wb") as log:
            self.holder = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=base_environ(PATH=_path()),
                start_new_session=True,
            )
        self.until(lambda: (self.folder / "run/started").exists(), "the daemons start")
        self._inner = self.child_of(self.holder.pid)
        self.until(self.all_idle, "four nodes are idle")

    def stop(self) -> None:
        """End the first process of the namespaces, and with it all others in there."""
        if self.holder:
            assert self.holder.stdin
            self.holder.stdin.close()
            try:
                self.holder.wait(10)
            except subprocess.TimeoutExpired:
                self.holder.kill()
                self.holder.wait()

    def argv(self, *words: str) -> list[str]:
        """The command that runs `words` beside the daemons."""
        inside = ["--target", str(self._inner), "--mount", "--net", "--pid"]
        return ["nsenter", *inside, f"--wdns={HOME}", *words]

    def child_of(self, pid: int) -> int:
        """What nsenter or unshare have started: they pass on no signals."""
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])

    def environ(self, **added: str) -> dict[str, str]:
        return base_environ(PATH=_path(), SLURM_CONF=str(self.conf), **added)

    def run(self, *words: str, **added: str) -> subprocess.CompletedProcess[str]:
        argv, variables = self.argv(*words), self.environ(**added)
        return subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=900)

    def jaxpad(self, *words: str, **added: str) -> subprocess.CompletedProcess[str]:
        """`jaxpad WORDS` as a user of the cluster types it."""
        return self.run(sys.executable, "-m", "jaxpad", *words, **added)

    def tell(self, *words: str) -> str:
        """What a command of Slurm prints; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def node_environ(self, node: str, variables: Mapping[str, str]) -> None:
        """The variables that jobs and hooks on that node find."""
        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        (self.folder / "nodes" / node).write_text(lines)

    def more_environ(self, node: str, variables: Mapping[str, str]) -> None:
        """Beside those it has."""
        file = self.folder / "nodes" / node
        had = dict(line.partition("=")[::2] for line in file.read_text().splitlines())
        self.node_environ(node, {**had, **variables})

    def nvml(self, node: str, scenario: str, changes: Mapping[str, Any] | None = None) -> None:
        """Give the node a double of NVML in that scenario, whatever else it had."""
        every = double.environ(scenario, changes)
        self.node_environ(node, {key: every[key] for key in ("LD_LIBRARY_PATH", double.VARIABLE)})

    def hook(self, name: str, *options: str) -> None:
        """Switch a hook on: every node runs the template of configs/clusters there."""
        launcher = self.folder / "hooks/jaxpad"
        _executable(launcher, f'#!/bin/sh\ncd {HOME} && exec {sys.executable} -m jaxpad "$@"\n')
        script = TEMPLATE.read_text().replace("/opt/jaxpad/bin/jaxpad", str(launcher))
        script = script.replace("set -- #", f"set -- {' '.join(options)} #")
        _executable(self.folder / f"hooks/{name}.on", script)

    def code(self, hook: str, node: str) -> int | None:
        """With what the hook ended there last, None where it was not called."""
        file = self.folder / f"hooks/{hook}.{node}.code"
        return int(file.read_text()) if file.exists() and file.stat().st_size else None

    def said(self, hook: str, node: str) -> str:
        """What the hook printed there last."""
        return (self.folder / f"hooks/{hook}.{node}.out").read_text()

    def forget(self, hook: str, node: str) -> None:
        (self.folder / f"hooks/{hook}.{node}.code").unlink(missing_ok=True)

    def state(self, node: str) -> str:
        """Such as `drained`."""
        return self._of(node, "%T")

    def reason(self, node: str) -> str:
        """Why it is drained."""
        return self._of(node, "%E")

    def _of(self, node: str, what: str) -> str:
        asked = [f"--nodes={node}", "--partition=main", f"--format={what}"]
        return self.tell("sinfo", "--noheader", *asked).strip()

    def all_idle(self) -> bool:
        done = self.run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T")
        return done.stdout.split() == ["idle"] * len(NODES)

    def reset(self) -> None:
        """No job, no hook, no variables, four idle nodes."""
        self.hooks_off()
        for node in NODES:
            self._checked(node)
            for name in HOOKS:
                self.forget(name, node)
            self.node_environ(node, {})
        self.run("scancel", "--user=root", "--signal=KILL", "--full")
        self.run("scancel", "--user=root")
        if not self.all_idle():
            self.until(lambda: not self.tell("squeue", "--noheader"), "no job is left")
            self.until(self._resumed, "four nodes are idle")

    def hooks_off(self) -> None:
        """What slurmd starts ends at once from now on."""
        for name in HOOKS:
            (self.folder / f"hooks/{name}.on").unlink(missing_ok=True)

    def _checked(self, node: str) -> None:
        """Wait for a health check on its way, which could drain the node later."""
        lock = self.folder / f"hooks/healthcheck.{node}.lock"
        self.until(lambda: _unlocked(lock), f"the health check of {node} ends")

    def _resumed(self) -> bool:
        self.run("scontrol", "update", f"NodeName={','.join(NODES)}", "State=RESUME")
        return self.all_idle()

    def until(self, holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
        """Wait; the logs are in the error where it does not come."""
        end = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < end, f"waiting until {what}\n{self._logs()}"
            assert not (self.holder and self.holder.poll()), f"ended before {what}\n{self._logs()}"
            time.sleep(0.2)

    def _logs(self) -> str:
        files = sorted((self.folder / "log").iterdir())
        return "\n".join(f"== {file.name}\n{file.read_text()[-1500:]}" for file in files)

    def _lay(self) -> None:
        """The folders and files that the daemons want to find."""
        spools = [f"spool/{name}" for name in ("ctld", *NODES)]
        for name in ("etc", "run", "log", "dev", "nodes", "hooks", *spools):
            (self.folder / name).mkdir(parents=True)
        host = os.uname().nodename.split(".")[0]
        conf = (HERE / "slurm.conf").read_text()
        self.conf.write_text(conf.replace("@FOLDER@", str(self.folder)).replace("@HOST@", host))
        gres = f"NodeName=n[0-3] Name=gpu File={self.folder}/dev/nvidia[0-1]\n"
        (self.folder / "etc/gres.conf").write_text(gres)
        task_prolog = _TASK_PROLOG.format(folder=self.folder)
        _executable(self.folder / "hooks/task-prolog", task_prolog)
        for name in HOOKS:
            script = _HOOK.format(folder=self.folder, name=name)
            _executable(self.folder / "hooks" / name, script)
        for node in NODES:
            self.node_environ(node, {})


def _unlocked(file: Path) -> bool:
    """Whether nobody holds the lock now."""
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _executable(file: Path, text: str) -> None:
    """Whole at once: a daemon may start it at any time."""
    fresh = file.with_name(f".{file.name}")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.rename(file)


def _slurmctld() -> programs.Tool:
    """The controller that answers as Slurm's does."""
    return programs.find("slurmctld", "-V", says="slurm", path=programs.everywhere())


def _path() -> str:
    """The programs of that daemon's installation first: PATH may hold an srun of another's."""
    prefix = Path(_slurmctld().path or "/usr/sbin/slurmctld").parent.parent
    folders = [str(prefix / "bin"), str(prefix / "sbin")]
    return os.pathsep.join([*folders, programs.everywhere()])


@pytest.fixture(scope="session")
def slurm_of_session() -> Iterator[SlurmCluster]:
    folder = Path(tempfile.mkdtemp(prefix="jaxpad-slurm-"))
    cluster = SlurmCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@pytest.fixture
def slurm(slurm_of_session: SlurmCluster) -> Iterator[SlurmCluster]:
    """The cluster, idle and as new; its hooks would go on beside all tests that follow."""
    slurm_of_session.reset()
    yield slurm_of_session
    slurm_of_session.hooks_off()
