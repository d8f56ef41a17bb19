"""What the command line says of a cluster: which nodes, how to get them, how to run there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxpad import fleet
from jaxpad.core.results import UsageError, Verdict, overall
from jaxpad.core.text import brief_list
from jaxpad.fleet import Fleet, Node, Problem
from jaxpad.multi import MultiReport, NodeResult

WAIT_S = 600.0
TIME = "00:15:00"
_TIME = re.compile(r"(?:\d+-)?(?:\d+:){0,2}\d+")  # sbatch's --time: D-HH:MM:SS and less


@dataclass(frozen=True)
class Cluster:
    """Nodes wanted, and the way to run on them. An empty text leaves it to the cluster.

    `gpus_per_node` None: the cluster's own; 0: none, JAX computes on the CPU there.
    """

    nodes: int | None = None
    nodelist: str = ""
    exclude: str = ""
    reservation: str = ""
    partition: str = ""
    account: str = ""
    time: str = TIME
    gpus_per_node: int | None = None
    processes: str = "gpu"
    runtime: str = "none"
    wait_s: float = WAIT_S
    pairwise: bool = False
    extra: tuple[str, ...] = ()
    namespace: str = ""
    pull_secret: str = ""
    jobset: bool = False
    image: str = ""


# Words that only one of the engines knows.
SLURM_ONLY = ("reservation", "partition", "account", "runtime")
KUBERNETES_ONLY = ("namespace", "pull_secret", "jobset")


def check_time(time: str) -> str:
    """A time limit as sbatch reads it. Raises UsageError for one that is none."""
    if not _TIME.fullmatch(time):
        raise UsageError(f"--time must be a time limit such as 00:15:00, got {time!r}")
    return time


def seconds(time: str) -> float:
    """A time limit as sbatch reads it, in seconds; 0 is no limit.

    `MM`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS`.
    """
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, secs = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, secs = parts
    else:
        hours, (minutes, secs) = 0, [*parts, 0][:2]
    found = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + secs
    return float(found) or math.inf


# What both stages say of the nodes, as one fleet.

RUN = "multi-process run"
_AGAIN = "mend what kept it from an answer, and run the smoke suite on these nodes again"
_LOOK = "see what each process says in multi.json, and run the smoke suite on these nodes again"


@dataclass(frozen=True)
class Second:
    """What the processes of all nodes say together, or why they say nothing."""

    report: MultiReport | None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        return self.report.verdict if self.report else Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Whole:
    """What is known of all nodes, alone and together: the fleet has both."""

    fleet: Fleet
    second: Second | None  # None: there was nothing to run together

    @property
    def verdict(self) -> Verdict:
        """The worst of both stages, as fleet.json has it."""
        return self.fleet.verdict


def whole(first: Fleet, second: Second | None, nodes: Sequence[str]) -> Whole:
    """Both stages: the fleet of the first with what the second found on `nodes`."""
    if second is None or not second.verdict.exit_code:
        return Whole(first, second)
    found = _blamed(first, second.report) if second.report else first
    return Whole(fleet.also(found, _problem(second, nodes)), second)


def _problem(second: Second, nodes: Sequence[str]) -> Problem:
    """What is wrong with the run: on the nodes that it blames, else on all of them."""
    report, verdict = second.report, second.verdict
    at_fault = tuple(n.node for n in report.nodes if n.verdict is verdict) if report else ()
    reasons = filter(None, (report.why if report else "", second.why))
    return Problem(
        check=RUN,
        verdict=verdict,
        reason=brief_list("; ".join(reasons), 500),
        remedy=_LOOK if report else _AGAIN,
        nodes=at_fault or tuple(nodes),
        among=len(nodes),
        shared=verdict is Verdict.FAIL and not at_fault,
    )


def _blamed(found: Fleet, report: MultiReport) -> Fleet:
    """The fleet with what the multi-process run says of its nodes."""
    of = {node.node: node for node in report.nodes if node.verdict.exit_code}
    nodes = (_with(node, of[node.name]) if node.name in of else node for node in found.nodes)
    return replace(found, nodes=tuple(nodes))


def _with(node: Node, said: NodeResult) -> Node:
    reasons = (f"{RUN}: {reason}" for reason in said.reasons)
    verdict = overall((node.verdict, said.verdict))
    return replace(node, verdict=verdict, reasons=(*node.reasons, *reasons))
