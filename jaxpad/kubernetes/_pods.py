"""What is wanted of a cluster, in no manifest's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SLACK_S = 120  # on top of all limits, before the cluster itself ends what we have lost sight of
PORT = 55527  # the port that JAX's own detection of Kubernetes takes


@dataclass(frozen=True)
class Pods:
    """Pods that run one command, each on a node of its own."""

    run: str  # name of the whole run, a label of all that belongs to it
    stage: str  # "nodes" or "multi"
    count: int
    image: str
    command: tuple[str, ...]
    seconds: int  # that the command may take
    wait_s: int  # that a pod may take to start
    gpus: int = 0  # of each pod
    pull_secret: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()  # on these only; empty: on any
    without: tuple[str, ...] = ()  # but not on these

    @property
    def name(self) -> str:
        """Of the job; the host name of pod 3 is `name`-3."""
        return f"{self.run}-{self.stage}"

    @property
    def deadline_s(self) -> int:
        """Of the job, from its start: every pod has ended by then."""
        return self.wait_s + self.seconds + SLACK_S
