"""What a process knows of the job: its place, its peers, and what they are held to."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxpad.core.bounds import Bounds
from jaxpad.core.host import GpuEvidence
from jaxpad.core.results import Verdict
from jaxpad.machine import devices
from jaxpad.machine.devices import GPU_PLATFORMS, Expectation, Started, fallback
from jaxpad.multi.launcher import Place
from jaxpad.multi.record import Disturb, Identity, Reporter, Wanted, printable
from jaxpad.nvml import Driver


@dataclass(frozen=True)
class Peer:
    """What each process tells all others of itself."""

    rank: int
    node: str
    identity: Identity
    platform: str
    kind: str
    local_devices: int
    arrived: float
    memory: int  # bytes of a device that JAX may use; 0: not known


@dataclass(frozen=True)
class Job:
    """What is known before JAX starts."""

    place: Place
    wanted: Wanted
    expected: Expectation
    gpus: GpuEvidence
    driver: Driver
    bounds: Bounds
    local_devices: list[int] | None
    pairwise: bool
    out: Path
    environ: Mapping[str, str]
    disturb: Disturb


@dataclass(frozen=True)
class World:
    """The same, with the peers and the one to tell."""

    job: Job
    tell: Reporter
    peers: tuple[Peer, ...] = field(default_factory=tuple)

    @property
    def nodes(self) -> dict[int, str]:
        """Node by rank."""
        return {peer.rank: peer.node for peer in self.peers}

    @property
    def gpu(self) -> bool:
        """All compute on GPUs."""
        return all(peer.platform == "gpu" for peer in self.peers)


# What one process tells all others, through JAX's own collectives.

MOST_BYTES = 1 << 20  # of each process


def exchange(text: str) -> list[str]:
    """The text of every process, in the order of ranks. All processes call it."""
    import numpy as np  # here and not above: whoever merges records may have none
    from jax.experimental import multihost_utils

    data = np.frombuffer(text.encode()[:MOST_BYTES], np.uint8)
    sizes = multihost_utils.process_allgather(np.array([data.size], np.int32)).reshape(-1)
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: data.size] = data
    rows = multihost_utils.process_allgather(padded).reshape(len(sizes), -1)
    return [row[:size].tobytes().decode() for row, size in zip(rows, sizes, strict=True)]


def meet() -> None:
    """Return when every process has called it."""
    import numpy as np
    from jax.experimental import multihost_utils

    multihost_utils.process_allgather(np.zeros(1, np.uint8))


# What the last words of a process mean: its own fault, or a peer's.

MOST = 300  # characters kept of a message
# JAX, Gloo, NCCL and gRPC where a peer is not there (any more).
_PEER = re.compile(
    r"DEADLINE_EXCEEDED|UNAVAILABLE|Connection (?:reset|closed|refused)|[Hh]eartbeat|Broken pipe"
    r"|another task died|Barrier (?:timed out|failed)|Socket closed|ncclRemoteError"
    r"|NCCL.*remote process|[Tt]imed out|[Tt]imeout",
)
# https://github.com/openxla/xla/blob/main/xla/pjrt/distributed/client.h: the process is
# aborted, no exception is raised.
_FATAL = "Terminating process because the JAX distributed service detected fatal errors"
_STOP = ("RPC:", "===", "***", "    @")


def of_a_peer(words: str) -> bool:
    """Whether a message says that a peer had gone."""
    return bool(_PEER.search(words))


def short(words: str) -> str:
    """A message on one line, not too long."""
    return printable(" ".join(words.split()))[:MOST]


def of_error(error: BaseException) -> str:
    """An exception in one line."""
    return short(f"{type(error).__name__}: {error}")


def fatal(log: str) -> str:
    """What JAX's runtime said when it ended the process; empty: it did not."""
    lines = log.splitlines()
    at = next((at for at, line in enumerate(lines) if _FATAL in line), None)
    if at is None:
        return ""
    found = [lines[at].partition("absl::Status: ")[2] or _FATAL]
    for line in lines[at + 1 : at + 6]:
        if line.startswith(_STOP):
            break
        found.append(line)
    return short(f"JAX ended it: {' '.join(found)}")


def of_code(code: int) -> str:
    """How a process ended by its exit code, negative for a signal."""
    if code >= 0:
        return f"ended with exit code {code} and without a word"
    try:
        return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"
    except ValueError:
        return f"was ended by signal {-code}"


# Meet the other processes: reach the coordinator, then wait until all are there.

HEARTBEAT_S = 30  # a peer that is silent for so long is taken for dead: JAX ends the others
NCCL = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,NET,ENV"}


class CannotReach(Exception):
    """The coordinator does not answer."""


def nccl_log(job: Job) -> str:
    """Where NCCL of this process writes what it does."""
    return str(job.out / f"nccl-{job.place.rank}.log")


def start_jax(world: World) -> None:
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


# What JAX found here: platform, devices, their kind and memory.


class NoPlatform(Exception):
    """JAX does not compute where it is expected to."""


def look(world: World) -> Peer:
    """Start the platform; answer what can be answered without the peers."""
    import jax

    world.tell.step("devices", "start the platform and count the devices", together=True)
    try:
        local = jax.local_devices()
    except Exception as error:  # a RuntimeError; an AssertionError where no plugin registers
        raise _no_platform(world, error) from error
    _count(world, jax.process_count())
    platform = "gpu" if local[0].platform in GPU_PLATFORMS else local[0].platform
    kind = ", ".join(sorted({device.device_kind for device in local}))
    world.tell.tell(
        platform=platform, kind=kind, local_devices=len(local), devices=jax.device_count()
    )
    _platform(world, platform)
    _local(world, len(local))
    record = world.tell.record
    return Peer(
        rank=record.rank,
        node=record.node,
        identity=record.identity,
        platform=platform,
        kind=kind,
        local_devices=len(local),
        arrived=record.arrived or 0.0,
        memory=min(map(_memory, local)),
    )


_AGAIN_S = 60.0  # for a JAX that is started to hear why it does not


def _no_platform(world: World, error: Exception) -> Exception:
    """The error to raise: with the cause that `jaxpad smoke` would name, if it is ours."""
    job, said = world.job, of_error(error)
    if job.expected.platform != "gpu" or of_a_peer(said):
        return error
    started = Started(error=said, log=f"Error: {said}")
    if devices.UNKNOWN_BACKEND in said:  # the plugin's own words are on its stderr
        again = devices.start(job.environ, _AGAIN_S)
        started = replace(again, log=f"{again.log}\n{started.log}")
    cause = fallback(job.environ, job.gpus, job.driver, devices.installed(), started)
    world.tell.check("platform", Verdict.FAIL, printable(cause.reason), printable(cause.remedy))
    return NoPlatform(cause.reason)


def _count(world: World, found: int) -> None:
    wanted = world.job.wanted.processes or world.job.place.processes
    good = found == wanted
    world.tell.check(
        "processes",
        Verdict.PASS if good else Verdict.FAIL,
        f"{found} processes, expected {wanted}",
        "" if good else "start as many processes as --expect-processes says",
    )


def _memory(device: Any) -> int:
    stats = device.memory_stats() or {}
    return int(stats.get("bytes_limit", 0))


def _platform(world: World, found: str) -> None:
    expected = world.job.expected
    if found == expected.platform:
        world.tell.check("platform", Verdict.PASS, f"JAX computes on the {found}: {expected.why}")
        return
    world.tell.check(
        "platform",
        Verdict.FAIL,
        f"JAX computes on the {found}, although {expected.why}",
        "run jaxpad smoke --platform gpu on this node: it names the cause",
    )


def _local(world: World, found: int) -> None:
    wanted = world.job.wanted.devices
    good = wanted in (None, found)
    world.tell.check(
        "local devices",
        Verdict.PASS if good else Verdict.FAIL,
        f"{found} of this process" + ("" if wanted is None else f", expected {wanted}"),
        "" if good else "check the GPUs that the scheduler binds: --gpus-per-task, --gpus-per-node",
    )
