"""A run on a cluster: what its pods do, and every manifest it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpad import stages
from jaxpad.cluster import Cluster, seconds
from jaxpad.kubernetes import _jobs
from jaxpad.kubernetes._kubectl import Kubectl
from jaxpad.kubernetes._pod import Manifest
from jaxpad.kubernetes._pods import Pods

_SMOKE, _MULTI = Path("/tmp/smoke-report"), Path("/tmp/multi-report")  # noqa: S108 - a pod's own
_NO_LIMIT_S = 24 * 3600  # for --time 0: nothing is waited for without end


@dataclass(frozen=True)
class Suite(stages.Suite):
    """What each node is asked; a profile is one of the image's."""

    thresholds: str | None = None  # the content of the caller's file


@dataclass(frozen=True)
class Plan:
    """A run. All that it makes carries its name, by which it is found and deleted."""

    name: str
    wanted: Cluster
    suite: Suite
    out: Path
    gpus: int  # of each node
    within: tuple[str, ...] = ()  # nodes to choose from; empty: any
    without: tuple[str, ...] = ()

    @property
    def kube(self) -> Kubectl:
        return Kubectl(self.wanted.namespace, self.wanted.extra)

    @property
    def count(self) -> int:
        """Nodes to test."""
        return self.wanted.nodes or len(self.within) or 1

    @property
    def nodes(self) -> Path:
        """One folder a node."""
        return self.out / "nodes"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    def node_pods(self) -> Pods:
        """The suite on each node by itself."""
        return self._pods("nodes", ["smoke", "--json", *self.suite.words(_SMOKE)])

    def multi_pods(self, nodes: Sequence[str]) -> Pods:
        """One process on each of these nodes; no name of a node stands for any."""
        count = len(nodes) or self.count
        profile = {"JAXPAD_PROFILE": self.suite.profile} if self.suite.profile else {}
        pods = self._pods("multi", ["multi", "--json", *self._multi_words(count)])
        return replace(pods, count=count, nodes=tuple(nodes) or pods.nodes, environ=profile)

    def first(self) -> list[Manifest]:
        """What the first stage needs."""
        return [_jobs.nodes_job(self.node_pods())]

    def second(self, nodes: Sequence[str] = ()) -> list[Manifest]:
        """What the second stage needs beside that."""
        pods = self.multi_pods(nodes)
        if self.wanted.jobset:
            return [_jobs.jobset(pods)]
        return [_jobs.service(pods), _jobs.multi_job(pods)]

    def _pods(self, stage: str, words: Sequence[str]) -> Pods:
        run_s = int(min(seconds(self.wanted.time), _NO_LIMIT_S))
        return Pods(
            run=self.name,
            stage=stage,
            count=self.count,
            image=self.wanted.image,
            command=("jaxpad", "pod", "--seconds", str(run_s), *self._bounds(), "--", *words),
            seconds=run_s,
            wait_s=int(self.wanted.wait_s),
            gpus=self.gpus,
            pull_secret=self.wanted.pull_secret,
            nodes=self.within,
            without=self.without,
        )

    def _multi_words(self, count: int) -> list[str]:
        words = ["--platform", self.suite.platform, "--limit", f"{self.suite.limit:g}"]
        words += ["--out", str(_MULTI)]
        words += ["--expect-processes", str(count), "--join", str(self._join_s)]
        words += ["--expect-devices", str(self.gpus)] if self.gpus else []
        return [*words, *(["--pairwise"] if self.wanted.pairwise else [])]

    @property
    def _join_s(self) -> int:
        """Pods do not start at once: a node may have the image still to unpack."""
        return max(60, min(180, int(self.wanted.wait_s)))

    def _bounds(self) -> list[str]:
        return ["--bounds", self.suite.thresholds] if self.suite.thresholds else []
