"""What JAX found here: platform, devices, their kind and memory."""

from __future__ import annotations

from typing import Any

from jaxpad import devices
from jaxpad.devices import GPU_PLATFORMS, Started
from jaxpad.multi._wire import clean
from jaxpad.multi._words import of_a_peer, of_error
from jaxpad.multi._world import Peer, World
from jaxpad.platforms import fallback
from jaxpad.verdict import Verdict


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


def _no_platform(world: World, error: Exception) -> Exception:
    """The error to raise: with the cause that `jaxpad smoke` would name, if it is ours."""
    job, said = world.job, of_error(error)
    if job.expected.platform != "gpu" or of_a_peer(said):
        return error
    started = Started(error=said, log=f"Error: {said}")
    cause = fallback(job.environ, job.gpus, job.driver, devices.installed(), started)
    world.tell.check("platform", Verdict.FAIL, clean(cause.reason), clean(cause.remedy))
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
