"""What Slurm is told: one batch job of named nodes, and the questions about it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad.cluster import TIME


@dataclass(frozen=True)
class Job:
    """A job that has whole nodes to itself, since the test is of the node, not of a share."""

    name: str
    nodes: tuple[str, ...]
    command: tuple[str, ...]
    log: Path  # on a file system that the nodes share
    chdir: Path
    time: str = TIME
    gpus_per_node: int = 0
    tasks_per_node: int = 1
    partition: str = ""
    account: str = ""
    reservation: str = ""
    extra: tuple[str, ...] = ()  # more of sbatch's options; they win over ours


@dataclass(frozen=True)
class Step:
    """What `srun` starts inside a job: `tasks_per_node` copies of a command on each node."""

    nodes: int
    tasks_per_node: int
    gpus_per_node: int
    command: tuple[str, ...]
    options: tuple[str, ...] = ()  # of the runtime


def sbatch_argv(job: Job) -> list[str]:
    """Submits the job and prints its id.

    It is not run again elsewhere when its node fails: that is an answer. The command takes the
    place of the shell, so that Slurm's signals reach it.
    """
    argv = ["sbatch", "--parsable", "--no-requeue", "--exclusive", "--mem=0", "--export=ALL"]
    argv += [f"--job-name={job.name}", f"--nodes={len(job.nodes)}"]
    argv += [f"--nodelist={','.join(job.nodes)}", f"--ntasks-per-node={job.tasks_per_node}"]
    argv += [f"--time={job.time}", f"--chdir={job.chdir}"]
    argv += [f"--output={_literal(job.log)}", "--open-mode=truncate"]
    argv += [f"--gpus-per-node={job.gpus_per_node}"] if job.gpus_per_node else []
    for option in ("partition", "account", "reservation"):
        value = getattr(job, option)
        argv += [f"--{option}={value}"] if value else []
    return [*argv, *job.extra, "--wrap", f"exec {shlex.join(job.command)}"]


def _literal(log: Path) -> str:
    """Spelt for sbatch, which puts the job's id and more where a file name has %."""
    return str(log).replace("%", "%%")


def srun_argv(step: Step) -> list[str]:
    """Starts the processes, and ends all of them when one fails.

    Without `--cpu-bind=none` a task is bound to the one CPU that it asked for.
    """
    argv = ["srun", f"--nodes={step.nodes}", f"--ntasks-per-node={step.tasks_per_node}"]
    argv += ["--distribution=block", "--kill-on-bad-exit=1", "--cpu-bind=none", "--label"]
    argv += [f"--gpus-per-node={step.gpus_per_node}"] if step.gpus_per_node else []
    return [*argv, *step.options, *step.command]


def squeue_argv(name: str) -> list[str]:
    """Prints `id|state|reason` of every job of that name, of those that ended lately, too."""
    return ["squeue", "--noheader", f"--name={name}", "--states=all", "--format=%i|%T|%r"]


def scancel_argv(name: str, jobs: Sequence[str] = ()) -> list[str]:
    """Cancels these jobs of that name; without any, all of that name."""
    return ["scancel", "--quiet", f"--name={name}", *jobs]


def sinfo_argv(partition: str = "", nodelist: str = "") -> list[str]:
    """Prints `node|state|gres|partition|reason`, a node once for each of its partitions."""
    argv = ["sinfo", "--noheader", "--Node", "--format=%N|%T|%G|%P|%E"]
    argv += [f"--partition={partition}"] if partition else []
    return [*argv, *([f"--nodes={nodelist}"] if nodelist else [])]


def hostnames_argv(nodelist: str) -> list[str]:
    """Prints the names in a list such as `n[0-3],n7`, one a line."""
    return ["scontrol", "show", "hostnames", nodelist]


def reservation_argv(reservation: str) -> list[str]:
    """Prints a reservation in one line, with `Nodes=` its list."""
    return ["scontrol", "--oneliner", "show", "reservation", reservation]


def node_argv(node: str) -> list[str]:
    """Prints a node in one line, with `State=` all of its flags."""
    return ["scontrol", "--oneliner", "show", "node", node]


def drain_argv(node: str, reason: str) -> list[str]:
    """Takes a node out of service once its job has ended."""
    return ["scontrol", "update", f"NodeName={node}", "State=DRAIN", f"Reason={reason}"]
