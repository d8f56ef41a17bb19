"""What the command line says of a cluster: which nodes, how to get them, how to run there."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from jaxpad.core.results import UsageError

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
