"""The jobs of a run: one for each node, and one for the processes of all."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpad import profiles
from jaxpad.clusters import slurm_commands as words, stages
from jaxpad.clusters.request import Cluster
from jaxpad.clusters.slurm_commands import (
    Inside,
    Job,
    Refused,
    Step,
    apptainer_argv,
    ask,
    image_file,
    pyxis_options,
    require as require,
    srun_argv,
    variables,
)
from jaxpad.containers.engine import Mount
from jaxpad.core import paths
from jaxpad.core.results import UsageError
from jaxpad.machine import devices

# What runs on the nodes: one node's suite, and a process of the multi-process run.


@dataclass(frozen=True)
class Suite(stages.Suite):
    """What each node is asked, with paths that are true on every node."""

    thresholds: Path | None = None


def inside(wanted: Cluster, suite: Suite, out: Path, environ: Mapping[str, str]) -> Inside:
    """The container of a node, with the report's folder and the caller's files in it.

    Raises UsageError for a runtime without an image, an image without a runtime, and a file
    that is not there.
    """
    if wanted.runtime == "none":
        if wanted.image:
            raise UsageError("--image is for a container: add --runtime pyxis or apptainer")
        return Inside()
    if not wanted.image:
        raise UsageError(
            f"--runtime {wanted.runtime} needs --image: a reference, or the file of a prepared one"
        )
    file = image_file(wanted.image)
    if file and not file.is_file():
        raise UsageError(f"--image {wanted.image}: there is no such file")
    mounts = [Mount(out, str(out))]
    mounts += [Mount(path, str(path), read_only=True) for path in _files(suite)]
    return Inside(
        wanted.runtime, wanted.image, tuple(mounts), variables(environ, _set_by(suite.profile))
    )


def _files(suite: Suite) -> list[Path]:
    profile = [Path(suite.profile)] if suite.profile and suite.profile.endswith(".toml") else []
    return [*profile, *([suite.thresholds] if suite.thresholds else [])]


def _set_by(profile: str | None) -> tuple[str, ...]:
    """The variables that a profile sets: the caller's own values must reach it."""
    return tuple(profiles.environment(profiles.load(profile))) if profile else ()


def suite_words(suite: Suite, out: Path) -> list[str]:
    """`smoke` and its options, for a report in the folder `out`."""
    words = ["smoke", *suite.words(out)]
    return [*words, *(["--thresholds", str(suite.thresholds)] if suite.thresholds else [])]


def on_node(words: Sequence[str], box: Inside, gpus: int) -> list[str]:
    """`jaxpad WORDS` on a node of its own: without srun where the batch script can do it."""
    if box.runtime == "pyxis":
        return on_nodes(words, box, Step(1, 1, gpus, ()))
    return _runs(words, box, (), gpus)


def on_nodes(words: Sequence[str], box: Inside, step: Step) -> list[str]:
    """`jaxpad WORDS` in every process of a step; `step.command` is what stands before it."""
    options = tuple(pyxis_options(box)) if box.runtime == "pyxis" else ()
    command = _runs(words, box, step.command, step.gpus_per_node)
    return srun_argv(replace(step, command=tuple(command), options=options))


def _runs(words: Sequence[str], box: Inside, before: Sequence[str], gpus: int) -> list[str]:
    if box.runtime == "apptainer":
        return apptainer_argv(box, [*before, "jaxpad", *words], gpus=bool(gpus))
    if box.runtime == "pyxis":
        return [*before, "jaxpad", *words]
    # A checkout is found in the folder that the job starts in; an installed one is not there.
    apart = [] if _is_checkout() else ["-P"]
    return [*before, *_in_project(), sys.executable, *apart, "-m", "jaxpad", *words]


def _is_checkout() -> bool:
    return (paths.HOME / "jaxpad").is_dir()


def _in_project() -> list[str]:
    """So that a node sees our project, whatever folder its job starts in."""
    root = paths.project()
    return ["env", f"{paths.PROJECT}={root}"] if root else []


def start_in(box: Inside, out: Path) -> Path:
    """The folder that jobs start in: a checkout's, in which `python -m jaxpad` finds it."""
    return paths.HOME if _is_checkout() and box.runtime == "none" else out


# Which nodes there are, and which of them to test.

# Base states of a node that takes no job, of those `sinfo` prints in full (man sinfo, NODE STATE
# CODES). The signs behind a state: * does not answer, $ in maintenance, ! and % being powered off.
_DEAD = ("down", "drained", "draining", "drain", "fail", "failing", "error", "unknown", "inval")
_GOING = ("future", "perfctrs", "blocked", "reboot", "reboot_issued", "power_down", "powering_down")
_SIGNS = "*~#!%$@^-"
_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")


@dataclass(frozen=True)
class Node:
    """A node as Slurm sees it."""

    name: str
    state: str  # such as idle, or down*
    gpus: int = 0
    reason: str = ""  # of an admin, why it is down or drained

    @property
    def unfit(self) -> str | None:
        """Why no job can start on it, None where one can."""
        base = self.state.rstrip(_SIGNS)
        if self.state.endswith("*"):
            words = f"{base}, and it does not answer"
        elif base in (*_DEAD, *_GOING):
            words = base
        else:
            return None
        return f"{words}: {self.reason}" if self.reason else words

    @property
    def idle(self) -> bool:
        return self.state.rstrip(_SIGNS) == "idle"


@dataclass(frozen=True)
class Choice:
    """The nodes to test, and why others that were asked for are not."""

    tested: tuple[Node, ...]
    not_tested: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All that were asked for."""
        return (*(node.name for node in self.tested), *self.not_tested)


def parse(text: str, partition: str = "") -> tuple[Node, ...]:
    """The nodes in what sinfo printed, each once.

    Without a partition those of the default one, where a job goes that names none; all nodes
    where there is no default.
    """
    rows = [line.split("|", 4) for line in text.splitlines() if line.count("|") >= 4]
    default = [row for row in rows if row[3].endswith("*")]
    chosen = rows if partition or not default else default
    return tuple({row[0]: _node(row) for row in chosen}.values())


def _node(row: Sequence[str]) -> Node:
    name, state, gres, _, reason = row
    gpus = sum(map(int, _GPUS.findall(gres)))
    return Node(name, state, gpus, "" if reason in ("none", "(null)") else reason)


def choose(
    nodes: Iterable[Node], wanted: Cluster, within: Sequence[str], without: Sequence[str]
) -> Choice:
    """The nodes that were asked for: those named in `within`, else all; none of `without`.

    A count takes idle nodes first, then busy ones, and unfit ones only where the others are too
    few. Raises UsageError where there are not as many, or one that was named does not exist.
    """
    known = {node.name: node for node in nodes}
    missing = [name for name in within if name not in known]
    if missing:
        raise UsageError(f"there is no node {missing[0]} in {_where(wanted)}; see sinfo --Node")
    pool = [known[name] for name in within or known if name not in without]
    first = sorted(pool, key=_preference)[: wanted.nodes]
    pool = [node for node in pool if node in first]  # in Slurm's order, which is that of ranks
    if not pool or len(pool) < (wanted.nodes or 0):
        raise UsageError(
            f"{_where(wanted)} has {len(pool)} such node(s), {wanted.nodes or 'at least 1'} asked "
            "for; see sinfo --Node"
        )
    unfit = {node.name: node.unfit for node in pool if node.unfit}
    return Choice(tuple(node for node in pool if not node.unfit), unfit)


def _preference(node: Node) -> int:
    return 2 if node.unfit else int(not node.idle)


def _where(wanted: Cluster) -> str:
    if wanted.reservation:
        return f"the reservation {wanted.reservation}"
    if wanted.partition:
        return f"the partition {wanted.partition}"
    return "this cluster" if wanted.nodelist else "the default partition"


@dataclass(frozen=True)
class Plan:
    """A run. All of its jobs have one name, by which they are found and cancelled."""

    name: str
    wanted: Cluster
    suite: Suite
    out: Path
    box: Inside
    environ: Mapping[str, str]

    @property
    def nodes(self) -> Path:
        """One folder a node."""
        return self.out / "nodes"

    @property
    def multi(self) -> Path:
        return self.out / "multi"

    def log(self, name: str) -> Path:
        return self.out / "logs" / f"{name}.log"

    def gpus(self, nodes: Sequence[Node]) -> int:
        """GPUs of each node: as asked for, else what the smallest has."""
        if self.wanted.gpus_per_node is not None:
            return self.wanted.gpus_per_node
        return min(node.gpus for node in nodes)

    def processes(self, nodes: Sequence[Node]) -> int:
        """Processes on each node of the multi-process run."""
        return max(1, self.gpus(nodes)) if self.wanted.processes == "gpu" else 1

    def node_job(self, node: Node) -> Job:
        """The suite on one node."""
        words = suite_words(self.suite, self.nodes / node.name)
        return self._job(node.name, [node], on_node(words, self.box, self.gpus([node])), 1)

    def multi_job(self, nodes: Sequence[Node]) -> Job:
        """One run of all processes on these nodes."""
        tasks, gpus = self.processes(nodes), self.gpus(nodes)
        before = with_profile(self.suite.profile, self.box, self.environ)
        step = Step(len(nodes), tasks, gpus, tuple(before))
        return self._job("multi", nodes, on_nodes(self._multi_words(nodes), self.box, step), tasks)

    def ranks(self, nodes: Sequence[Node]) -> tuple[str, ...]:
        """The node of each rank: srun's --distribution=block."""
        return tuple(node.name for node in nodes for _ in range(self.processes(nodes)))

    def _multi_words(self, nodes: Sequence[Node]) -> list[str]:
        tasks, gpus = self.processes(nodes), self.gpus(nodes)
        words = ["multi", "--out", str(self.multi), "--platform", self.suite.platform]
        words += ["--limit", f"{self.suite.limit:g}"]
        words += ["--expect-processes", f"{tasks * len(nodes)}"]
        words += ["--expect-devices", f"{gpus // tasks}"] if gpus else []
        words += ["--thresholds", str(self.suite.thresholds)] if self.suite.thresholds else []
        return [*words, *(["--pairwise"] if self.wanted.pairwise else [])]

    def _job(self, what: str, nodes: Sequence[Node], command: Sequence[str], tasks: int) -> Job:
        wanted = self.wanted
        return Job(
            name=self.name,
            nodes=tuple(node.name for node in nodes),
            command=tuple(command),
            log=self.log(what),
            chdir=start_in(self.box, self.out),
            time=wanted.time,
            gpus_per_node=self.gpus(nodes),
            tasks_per_node=tasks,
            partition=wanted.partition,
            account=wanted.account,
            reservation=wanted.reservation,
            extra=wanted.extra,
        )


def with_profile(profile: str | None, box: Inside, environ: Mapping[str, str]) -> list[str]:
    """What stands before a command to run it under a profile.

    An image has with-profile, which knows the flags that the image itself brings; elsewhere
    the variables are set as `smoke --profile` sets them. Raises UsageError as `compose` does.
    """
    if profile is None:
        return []
    if box.runtime != "none" and not profile.endswith(".toml"):
        return ["with-profile", profile, "--"]
    version = devices.installed().get("jaxlib", "0")
    found = profiles.compose(profiles.load(profile), environ, version).environ
    changed = {name: value for name, value in found.items() if environ.get(name) != value}
    return ["env", *(f"{name}={value}" for name, value in sorted(changed.items()))]


# Ask Slurm which nodes to test.

_NODES = re.compile(r"(?:^|\s)Nodes=(\S+)")


def survey(wanted: Cluster) -> Choice:
    """The nodes that were asked for. Raises UsageError where Slurm knows no such thing."""
    try:
        within = _within(wanted)
        without = _expanded(wanted.exclude)
        # A list that was named is not held to the default partition: sbatch will say.
        listed = ask(words.sinfo_argv(wanted.partition, ",".join(within)))
    except Refused as error:
        raise UsageError(f"Slurm does not say which nodes there are: {error}") from error
    nodes = parse(listed, wanted.partition or wanted.nodelist or wanted.reservation)
    return choose(nodes, wanted, within, without)


def _within(wanted: Cluster) -> tuple[str, ...]:
    """The nodes named by list, by reservation, or by both."""
    named = _expanded(wanted.nodelist)
    if not wanted.reservation:
        return named
    found = _NODES.search(ask(words.reservation_argv(wanted.reservation)))
    held = _expanded(found[1] if found and found[1] != "(null)" else "")
    outside = [name for name in named if name not in held]
    if outside or not held:
        what = outside[0] if outside else "node"
        raise UsageError(f"the reservation {wanted.reservation} has no {what}")
    return named or held


def _expanded(nodelist: str) -> tuple[str, ...]:
    """The names in a list such as `n[0-3],n7`, each once."""
    if not nodelist:
        return ()
    return tuple(dict.fromkeys(ask(words.hostnames_argv(nodelist)).split()))


# What `--dry-run` prints.


def commands(plan: Plan, choice: Choice) -> Iterator[str]:
    """Every command of a run in which all nodes pass, pasteable into a shell."""
    yield shlex.join(words.sinfo_argv(plan.wanted.partition, plan.wanted.nodelist))
    for node in choice.tested:
        yield shlex.join(words.sbatch_argv(plan.node_job(node)))
    nodes = choice.tested
    if nodes and len(nodes) * plan.processes(nodes) > 1:
        yield shlex.join(words.sbatch_argv(plan.multi_job(nodes)))
