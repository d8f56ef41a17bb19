"""What the command line says of a cluster: which nodes, how to get them, how to run there."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from jaxpad.core.results import UsageError

RUNTIMES = ("none", "pyxis", "apptainer")
PROCESSES = ("gpu", "node")
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
_TEXTS = ("nodelist", "exclude", "reservation", "partition", "account")


def cluster(words: Mapping[str, str | bool], image: str) -> Cluster:
    """The options as typed. Raises UsageError for one that is none."""
    text = {name: str(words[name]) for name in words if not isinstance(words[name], bool)}
    time = text["time"] or TIME
    if not _TIME.fullmatch(time):
        raise UsageError(f"--time {time!r} is no time limit: give it as 00:15:00")
    return Cluster(
        nodes=_count("nodes", text["nodes"], least=1),
        **{name: text[name] for name in _TEXTS},
        time=time,
        gpus_per_node=_count("gpus-per-node", text["gpus_per_node"], least=0),
        processes=_choice("processes", text["processes"], PROCESSES),
        runtime=_choice("runtime", text["runtime"], RUNTIMES),
        wait_s=_seconds(text["wait"]),
        pairwise=bool(words["pairwise"]),
        extra=_split(text["extra"]),
        namespace=text["namespace"],
        pull_secret=text["pull_secret"],
        jobset=bool(words["jobset"]),
        image=image,
    )


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


def _count(name: str, text: str, least: int) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 7 and int(text) >= least):
        raise UsageError(f"--{name} {text!r} is no number of {least} or more")
    return int(text)


def _choice(name: str, text: str, known: tuple[str, ...]) -> str:
    if text and text not in known:
        raise UsageError(f"--{name} {text!r} is not one of {', '.join(known)}")
    return text or known[0]


def _seconds(text: str) -> float:
    count = _count("wait", text, least=0)
    return WAIT_S if count is None else float(count)


def _split(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--extra {text!r} cannot be split into words: {error}") from None
