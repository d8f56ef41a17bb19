"""Which process of the job this is, by each launcher's variables, and which GPUs are its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jaxpad.core.hostlist import counts
from jaxpad.core.results import UsageError
from jaxpad.multi.launcher import Place, find, local_devices

SLURM = {
    "SLURM_JOB_ID": "5001",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "n[08-10],gpu-a",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURMD_NODENAME": "n09",
}
POD = {
    "JOB_COMPLETION_INDEX": "2",
    "JAXPAD_COORDINATOR": "job-0.job:5000",
    "JAXPAD_PROCESSES": "4",
    "JAXPAD_NODE": "worker-7",
}
TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "MASTER_ADDR": "a",
    "MASTER_PORT": "29500",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
    "JAXPAD_COORDINATOR": "a:1234",
}


def test_slurm_step() -> None:
    place = find(SLURM)
    assert (place.launcher, place.rank, place.processes) == ("slurm", 3, 8)
    assert place.coordinator == f"n08:{61440 + 5001 * 7 % 4096}"
    assert (place.node, place.local_rank, place.local_processes) == ("n09", 1, 2)
    assert place.nodes == ("n08", "n09", "n10", "gpu-a")
    assert place.run == "slurm 5001.0"


def test_two_steps_of_a_job_have_two_ports() -> None:
    assert find(SLURM).coordinator != find(SLURM | {"SLURM_STEP_ID": "1"}).coordinator


def test_indexed_job_of_kubernetes() -> None:
    place = find(POD)
    assert (place.launcher, place.rank, place.processes) == ("kubernetes", 2, 4)
    assert (place.coordinator, place.node) == ("job-0.job:5000", "worker-7")
    assert place.local_rank is None


def test_torchrun_and_open_mpi() -> None:
    assert (find(TORCHRUN).coordinator, find(TORCHRUN).local_rank) == ("a:29501", 1)
    assert (find(OPEN_MPI).rank, find(OPEN_MPI).local_processes) == (1, 1)


def test_the_users_word_comes_first() -> None:
    by_hand = {"JAXPAD_PROCESS": "0", "JAXPAD_PROCESSES": "1", "JAXPAD_COORDINATOR": "here"}
    place = find(SLURM | by_hand)
    assert (place.launcher, place.coordinator) == ("by hand", "here:51414")


@pytest.mark.parametrize(
    ("inner", "outer", "launcher"),
    [
        (TORCHRUN, SLURM, "torchrun"),
        (TORCHRUN, OPEN_MPI, "torchrun"),
        (OPEN_MPI, SLURM, "Open MPI"),
        (TORCHRUN, POD, "torchrun"),
        (OPEN_MPI, POD, "Open MPI"),
        (SLURM, POD, "slurm"),
    ],
)
def test_innermost_launcher(inner: dict[str, str], outer: dict[str, str], launcher: str) -> None:
    """What an outer launcher left behind is that of another process."""
    place = find(outer | inner)
    assert (place.launcher, place.rank) == (launcher, find(inner).rank)


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({}, "srun"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "srun"),  # a batch script, not a step
        (SLURM | {"SLURM_PROCID": "8"}, "8 of 8"),
        (SLURM | {"SLURM_PROCID": "x"}, "SLURM_PROCID"),
        (SLURM | {"SLURM_STEP_NODELIST": "n[1"}, "n[1"),
        ({"JOB_COMPLETION_INDEX": "0"}, "JAXPAD_PROCESSES"),
        (POD | {"JAXPAD_COORDINATOR": ""}, "JAXPAD_COORDINATOR"),
        (POD | {"JAXPAD_COORDINATOR": "a:http"}, "host:port"),
    ],
)
def test_refused_in_one_sentence(environ: dict[str, str], word: str) -> None:
    with pytest.raises(UsageError, match=word.replace("[", r"\[")) as refused:
        find(environ)
    assert "\n" not in str(refused.value)


def test_tasks_of_each_node() -> None:
    assert counts("2(x3),1") == (2, 2, 2, 1)


ONE_OF_TWO = Place("slurm", 1, 4, "n0:1", "n0", local_rank=1, local_processes=2)
ALONE = replace(ONE_OF_TWO, local_rank=0, local_processes=1)
POD_PLACE = replace(ONE_OF_TWO, local_rank=None, local_processes=None)


@pytest.mark.parametrize(
    ("place", "visible", "own"),
    [
        (ONE_OF_TWO, "1", [0]),  # --gpus-per-task=1
        (ONE_OF_TWO, "0,1", [1]),  # --gpus-per-node=2: every task sees both
        (ONE_OF_TWO, "GPU-aa,GPU-bb", [1]),
        (ONE_OF_TWO, None, [1]),
        (ALONE, "0,1,2,3", [0, 1, 2, 3]),  # one process per node
        (ALONE, None, None),
        (POD_PLACE, None, None),
        (POD_PLACE, "0,1", [0, 1]),
    ],
)
def test_local_devices(place: Place, visible: str | None, own: list[int] | None) -> None:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert local_devices(place, environ) == own


def test_no_gpu_for_this_task() -> None:
    with pytest.raises(UsageError, match="gpu-bind=none"):
        local_devices(ONE_OF_TWO, {"CUDA_VISIBLE_DEVICES": ""})
    third = replace(ONE_OF_TWO, local_rank=2, local_processes=3)
    with pytest.raises(UsageError, match="sees 2 GPUs only"):
        local_devices(third, {"CUDA_VISIBLE_DEVICES": "0,1"})
