"""The jobs of a run: one for each node, and one for the processes of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad import devices, profiles
from jaxpad.cluster import Cluster
from jaxpad.engines._slurm import Job, Step
from jaxpad.engines._slurm_runtime import Inside
from jaxpad.slurm._commands import Suite, on_node, on_nodes, start_in, suite_words
from jaxpad.slurm._nodes import Node


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
