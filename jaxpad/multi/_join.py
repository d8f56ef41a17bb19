"""Meet the other processes: reach the coordinator, then wait until all are there."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from jaxpad.multi._world import Job, World

HEARTBEAT_S = 30  # a peer that is silent for so long is taken for dead: JAX ends the others
NCCL = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,ENV"}


class CannotReach(Exception):
    """The coordinator does not answer."""


def nccl_log(job: Job) -> str:
    """Where NCCL of this process writes what it does."""
    return str(job.out / f"nccl-{job.place.rank}.log")


def start(world: World) -> None:
    """Import JAX with the platform and the logs that are wanted."""
    job = world.job
    world.tell.step("start", "import JAX")
    os.environ.update(NCCL | {"NCCL_DEBUG_FILE": nccl_log(job)})
    os.environ.update(_platforms(job))
    import jax

    if job.expected.platform == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")


def _platforms(job: Job) -> dict[str, str]:
    """The GPU alone where it is expected, so that JAX says why there is none.

    With the CPU beside it one process would fall back, and the others wait for its GPUs.
    """
    if job.expected.platform == "gpu" and job.expected.requested == "auto":
        return {"JAX_PLATFORMS": job.environ.get("JAX_PLATFORMS") or "cuda"}
    return {"JAX_PLATFORMS": {"gpu": "cuda"}.get(job.expected.platform, "cpu")}


def join(world: World) -> None:
    """Start jax.distributed; each number is given, so that JAX detects nothing itself."""
    import jax

    place, wanted = world.job.place, world.job.wanted
    world.tell.step("join", f"reach the coordinator at {place.coordinator}")
    if place.rank:
        reach(place.coordinator, wanted.join_s)
    world.tell.tell(arrived=world.tell.now())
    world.tell.step("join", f"wait for all {place.processes} processes", together=True)
    jax.distributed.initialize(
        coordinator_address=place.coordinator,
        num_processes=place.processes,
        process_id=place.rank,
        local_device_ids=world.job.local_devices,
        cluster_detection_method="deactivate",
        initialization_timeout=max(1, round(wanted.join_s)),
        heartbeat_timeout_seconds=HEARTBEAT_S,
        shutdown_timeout_seconds=HEARTBEAT_S,
    )


def reach(address: str, limit_s: float) -> None:
    """Return when something listens there. Raises CannotReach after `limit_s` seconds."""
    host, _, port = address.rpartition(":")
    stop = time.monotonic() + limit_s
    while True:
        try:
            with contextlib.closing(socket.create_connection((host.strip("[]"), int(port)), 5)):
                return
        except OSError as error:
            if time.monotonic() > stop:
                raise CannotReach(
                    f"the coordinator at {address} does not answer within {limit_s:g} s: "
                    f"{error.strerror or error}"
                ) from None
        time.sleep(0.2)
