"""What Slurm is told: one batch job of named nodes, and the questions about it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad.containers.engine import Mount
from jaxpad.core import child
from jaxpad.core.results import UsageError


@dataclass(frozen=True)
class Job:
    """A job that has whole nodes to itself, since the test is of the node, not of a share."""

    name: str
    nodes: tuple[str, ...]
    command: tuple[str, ...]
    log: Path  # on a file system that the nodes share
    chdir: Path
    time: str
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


# In what a cluster's job runs: the node itself, pyxis (enroot) or Apptainer.

# Variables of the caller's that mean something inside. An image's own ENV wins over them under
# pyxis unless they are named (https://github.com/NVIDIA/pyxis, --container-env).
FAMILIES = re.compile(
    r"XLA_FLAGS(_APPEND)?|(JAXPAD_(?!STARTED_AS|PROJECT)|JAX_|NCCL_|XLA_PYTHON_CLIENT_)[A-Z0-9_]+"
)
_FILES = (".sqsh", ".squashfs", ".sif", ".simg")


@dataclass(frozen=True)
class Inside:
    """A prepared image and what of the node is seen in it."""

    runtime: str = "none"
    image: str = ""
    mounts: tuple[Mount, ...] = ()
    variables: tuple[str, ...] = ()  # names of the caller's


def variables(environ: Mapping[str, str], more: Sequence[str] = ()) -> tuple[str, ...]:
    """The names set in `environ` that mean something to JAX, XLA or NCCL, and those in `more`."""
    names = {name for name in environ if FAMILIES.fullmatch(name)}
    return tuple(sorted(names | {name for name in more if name in environ}))


def image_file(image: str) -> Path | None:
    """The image as a file, None for a reference to a registry."""
    file = Path(image)
    named = file.suffix in _FILES or image.startswith(("/", "./", "../"))
    return file.resolve() if named or file.is_file() else None


def pyxis_options(inside: Inside) -> list[str]:
    """The options that pyxis adds to srun.

    Raises UsageError for a mount that cannot be written so.
    """
    file = image_file(inside.image)
    argv = [f"--container-image={file or enroot(inside.image)}", "--no-container-mount-home"]
    mounts = ",".join(_mount(mount, "pyxis") for mount in inside.mounts)
    argv += [f"--container-mounts={mounts}"] if mounts else []
    named = ",".join(inside.variables)
    return [*argv, *([f"--container-env={named}"] if named else [])]


def enroot(image: str) -> str:
    """A reference as enroot reads it: `#`, not `/`, behind the registry.

    https://github.com/NVIDIA/enroot/blob/master/doc/cmd/import.md
    """
    bare = image.removeprefix("docker://")
    registry, slash, rest = bare.partition("/")
    if "#" in bare or not slash or not _is_registry(registry):
        return bare
    return f"{registry}#{rest}"


def _is_registry(word: str) -> bool:
    """As docker tells a registry from a user: by a dot or a port."""
    return word == "localhost" or "." in word or ":" in word


def apptainer_argv(inside: Inside, command: Sequence[str], *, gpus: bool) -> list[str]:
    """The command in the container, with the node's own IPC, which NCCL's shared memory needs.

    The caller's Python packages stay outside: they would come before the image's.
    Raises UsageError for a mount that cannot be written so.
    """
    argv = ["apptainer", "exec", *(["--nv"] if gpus else []), "--no-home", "--writable-tmpfs"]
    argv += ["--env", "PYTHONNOUSERSITE=1", "--env", "PYTHONPATH="]
    for mount in inside.mounts:
        argv += ["--bind", _mount(mount, "apptainer")]
    file = image_file(inside.image)
    image = str(file) if file else inside.image
    return [*argv, image if file or "://" in image else f"docker://{image}", *command]


def _mount(mount: Mount, runtime: str) -> str:
    source = os.fspath(mount.source)
    if {":", ","} & set(source):
        raise UsageError(f"{runtime} cannot mount {source}: it has a colon or a comma")
    return f"{source}:{mount.target}{':ro' if mount.read_only else ''}"


# Slurm's commands, run: one sentence where they are missing or refuse.

LIMIT_S = 60.0  # a busy slurmctld may take its time to answer


class Refused(Exception):
    """Slurm said no, or nothing; its own last line is the message."""


def require(program: str = "sbatch") -> None:
    """Raises UsageError where this machine has no Slurm."""
    if not shutil.which(program):
        raise UsageError(
            f"{program} is not on PATH: run this on a machine that submits jobs to the cluster, "
            "such as its login node, or leave out --on slurm to test this machine"
        )


def ask(argv: Sequence[str]) -> str:
    """What the command prints. Raises Refused."""
    # How jaxpad was started here is not how it is started on a node.
    environ = {name: value for name, value in os.environ.items() if name != "JAXPAD_STARTED_AS"}
    try:
        done = child.run(argv, environ=environ, limit_s=LIMIT_S)
    except OSError as error:
        raise Refused(f"{argv[0]} cannot be run: {error.strerror}") from error
    if done.late:
        raise Refused(f"{argv[0]} gave no answer within {LIMIT_S:g} s{done.note}")
    if done.code:
        raise Refused(
            _last(done.err) or _last(done.out) or f"{argv[0]} ended with code {done.code}"
        )
    return done.out


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
