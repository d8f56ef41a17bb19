"""Which process of a job this is, and who coordinates: read from the launcher's variables.

JAX's own detection is not used. It gives local device i to task i, which fails where a
task sees one GPU only (https://github.com/jax-ml/jax/issues/23452), and in Kubernetes it
needs rights to list pods.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxpad.core.hostlist import counts, expand
from jaxpad.core.results import UsageError
from jaxpad.multi.record import NODE

PORT = 51414  # in a pod's own network; by hand it is given
_SLURM_PORTS = (61440, 4096)  # first and count; JAX's own choice is in the same range

Environ = Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Where this process stands in its job."""

    launcher: str
    rank: int
    processes: int
    coordinator: str  # host:port
    node: str
    local_rank: int | None = None  # among the processes of its node
    local_processes: int | None = None
    nodes: tuple[str, ...] = ()  # of the job, where the launcher lists them
    run: str = ""


def find(environ: Environ) -> Place:
    """The innermost launcher whose variables are there: an outer one leaves its own behind.

    Raises UsageError, one sentence, where there is none or its variables do not fit.
    """
    for sign, read in _LAUNCHERS.items():
        if all(name in environ for name in sign):
            return _sensible(read(environ))
    raise UsageError(
        "this is no process of a job: start it with srun, mpirun or torchrun, in an Indexed Job "
        "of Kubernetes with JAXPAD_COORDINATOR=host:port and JAXPAD_PROCESSES=N, or by hand with "
        "JAXPAD_PROCESS=0 to N-1 beside them"
    )


def _sensible(place: Place) -> Place:
    if not 0 <= place.rank < place.processes:
        raise UsageError(
            f"{place.launcher} says this is process {place.rank} of {place.processes}; "
            "expected a number from 0 to one less than their count"
        )
    if not NODE.fullmatch(place.node):
        raise UsageError(f"{place.node!r} is no name of a node; set JAXPAD_NODE to one")
    return place


def _slurm(environ: Environ) -> Place:
    nodes = expand(_need(environ, "SLURM_STEP_NODELIST"))
    step = environ.get("SLURM_STEP_ID", "0")
    at = _whole(environ, "SLURM_NODEID", 0)
    job = _whole(environ, "SLURM_JOB_ID")
    first, count = _SLURM_PORTS
    port = first + (job * 7 + (int(step) if step.isdecimal() else 0)) % count
    return Place(
        launcher="slurm",
        rank=_whole(environ, "SLURM_PROCID"),
        processes=_whole(environ, "SLURM_STEP_NUM_TASKS", _whole(environ, "SLURM_NTASKS", 1)),
        coordinator=environ.get("JAXPAD_COORDINATOR") or f"{nodes[0]}:{port}",
        node=_node(environ, environ.get("SLURMD_NODENAME") or nodes[min(at, len(nodes) - 1)]),
        local_rank=_whole(environ, "SLURM_LOCALID"),
        local_processes=_tasks_here(environ, at),
        nodes=nodes,
        run=f"slurm {job}.{step}",
    )


def _tasks_here(environ: Environ, at: int) -> int | None:
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_TASKS_PER_NODE", "")
    each = counts(tasks)
    return each[at] if at < len(each) else None


def _kubernetes(environ: Environ) -> Place:
    return _told(environ, "kubernetes", "JOB_COMPLETION_INDEX")


def _by_hand(environ: Environ) -> Place:
    return _told(environ, "by hand", "JAXPAD_PROCESS")


def _told(environ: Environ, launcher: str, rank: str) -> Place:
    """All that the manifest or the user sets. Local ranks only if they are given."""
    local = "JAXPAD_LOCAL_PROCESS" in environ
    return Place(
        launcher=launcher,
        rank=_whole(environ, rank),
        processes=_whole(environ, "JAXPAD_PROCESSES"),
        coordinator=_address(environ, PORT),
        node=_node(environ),
        local_rank=_whole(environ, "JAXPAD_LOCAL_PROCESS") if local else None,
        local_processes=_whole(environ, "JAXPAD_LOCAL_PROCESSES") if local else None,
        run=environ.get("JAXPAD_RUN") or _address(environ, PORT),
    )


def _open_mpi(environ: Environ) -> Place:
    return Place(
        launcher="Open MPI",
        rank=_whole(environ, "OMPI_COMM_WORLD_RANK"),
        processes=_whole(environ, "OMPI_COMM_WORLD_SIZE"),
        coordinator=_address(environ, PORT),
        node=_node(environ),
        local_rank=_whole(environ, "OMPI_COMM_WORLD_LOCAL_RANK"),
        local_processes=_whole(environ, "OMPI_COMM_WORLD_LOCAL_SIZE"),
        run=environ.get("JAXPAD_RUN") or _address(environ, PORT),
    )


def _torchrun(environ: Environ) -> Place:
    """Torchrun's own store holds MASTER_PORT, so the coordinator takes the next one."""
    port = _whole(environ, "MASTER_PORT") + 1
    address = environ.get("JAXPAD_COORDINATOR") or f"{_need(environ, 'MASTER_ADDR')}:{port}"
    return Place(
        launcher="torchrun",
        rank=_whole(environ, "RANK"),
        processes=_whole(environ, "WORLD_SIZE"),
        coordinator=address,
        node=_node(environ),
        local_rank=_whole(environ, "LOCAL_RANK"),
        local_processes=_whole(environ, "LOCAL_WORLD_SIZE"),
        run=environ.get("TORCHELASTIC_RUN_ID") or address,
    )


# By the variables that show a launcher: the user's own word, then from the inside out. torchrun
# and mpirun are started in a Slurm step, a Slurm step in a pod.
_LAUNCHERS: dict[tuple[str, ...], Callable[[Environ], Place]] = {
    ("JAXPAD_PROCESS",): _by_hand,
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"): _torchrun,
    ("OMPI_COMM_WORLD_RANK",): _open_mpi,
    ("SLURM_PROCID", "SLURM_STEP_NODELIST"): _slurm,
    ("JOB_COMPLETION_INDEX",): _kubernetes,
}


def _node(environ: Environ, otherwise: str = "") -> str:
    """JAXPAD_NODE, which a manifest fills with spec.nodeName; else this host's name."""
    return environ.get("JAXPAD_NODE") or otherwise or socket.gethostname()


def _address(environ: Environ, port: int) -> str:
    given = _need(environ, "JAXPAD_COORDINATOR")
    host, colon, number = given.rpartition(":")
    if not colon:
        return f"{given}:{port}"
    if not (host and number.isdecimal() and 0 < int(number) < 65536):
        raise UsageError(f"JAXPAD_COORDINATOR={given} is no address; give it as host:port")
    return given


def _need(environ: Environ, name: str) -> str:
    if not environ.get(name):
        raise UsageError(f"{name} is not set; it says where the processes of the job meet")
    return environ[name]


def _whole(environ: Environ, name: str, otherwise: int | None = None) -> int:
    text = environ.get(name, "")
    if not text and otherwise is not None:
        return otherwise
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise UsageError(f"{name}={text!r} is no number of 0 or more")
    return int(text)


def local_devices(place: Place, environ: Environ) -> list[int] | None:
    """Which of the GPUs that this process sees are its own. None: all of them.

    Right for every binding: each task sees its own GPU, all tasks see all of them, or a
    task has the node to itself. Raises UsageError where there is none for it.
    """
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    alone = place.local_rank is None or place.local_processes == 1
    if visible is None:
        return None if alone else [place.local_rank or 0]
    count = len([part for part in visible.split(",") if part.strip()])
    if not count:
        raise UsageError(
            "CUDA_VISIBLE_DEVICES is empty, so this process has no GPU: ask for one with "
            "--gpus-per-task or --gpus-per-node, without --gpu-bind=none"
        )
    if count == 1 or alone:
        return list(range(count))
    if (place.local_rank or 0) >= count:
        raise UsageError(
            f"task {place.local_rank} of this node sees {count} GPUs only "
            f"(CUDA_VISIBLE_DEVICES={visible}): start as many tasks on a node as it has GPUs, "
            "or use --gpus-per-task=1"
        )
    return [place.local_rank or 0]
