"""What JAX found here: platform, devices, their kind and memory."""

from __future__ import annotations

from typing import Any

from jaxpad.devices import GPU_PLATFORMS
from jaxpad.multi._world import Peer, World
from jaxpad.verdict import Verdict


def look(world: World) -> Peer:
    """Start the platform; answer what can be answered without the peers."""
    import jax

    world.tell.step("devices", "start the platform and count the devices", together=True)
    local = jax.local_devices()
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
