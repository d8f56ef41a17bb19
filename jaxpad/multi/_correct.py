"""Whether a collective is right on every device of this process."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxpad.multi import _collectives as collectives
from jaxpad.multi._world import World
from jaxpad.verdict import Verdict

TURNS = 2  # each with other data, so that an old result does not pass
_REMEDY = (
    "run the node by itself (jaxpad smoke, jaxpad health); then again with --pairwise, and "
    "with NCCL_P2P_DISABLE=1, NCCL_NVLS_ENABLE=0 or NCCL_IB_DISABLE=1 to find the path"
)


def correct(world: World, mesh: Mesh, kind: str) -> None:
    """One check of one collective."""
    found = [_wrong(world, mesh, kind, turn) for turn in range(TURNS)]  # all, as the peers do
    wrong = next(filter(None, found), "")
    verdict = Verdict.FAIL if wrong else Verdict.PASS
    right = f"right over {mesh.devices.size} devices"
    world.tell.check(kind, verdict, wrong or right, _REMEDY if wrong else "")


def _wrong(world: World, mesh: Mesh, kind: str, turn: int) -> str:
    """What is wrong, in words."""
    devices = mesh.devices.size
    world.tell.step("correct", f"{kind}: data of its own")
    x = jax.block_until_ready(collectives.operand(mesh, collectives.width(kind, devices), turn))
    world.tell.step("correct", f"{kind} with all", together=True)
    result = jax.block_until_ready(collectives.jitted(kind, mesh)(x))
    order = {device: at for at, device in enumerate(mesh.devices.flat)}
    for shard in result.addressable_shards:
        got = world.job.disturb.result(kind, np.asarray(shard.data)[0])
        said = _compared(world, kind, order[shard.device], devices, turn, got)
        if said:
            return said
    return ""


def _compared(world: World, kind: str, device: int, devices: int, turn: int, got: Any) -> str:
    want = collectives.expected(kind, device, devices, turn)
    bad = np.flatnonzero(got != want)
    if not bad.size:
        return ""
    at = int(bad[0])
    source = collectives.sender(kind, device, devices, at)
    whose = "" if source is None else f" of the data of {_owner(world, source)}"
    return (
        f"{bad.size} of {want.size} elements{whose} are wrong on {_owner(world, device)}: "
        f"element {at} is {got[at]:g}, expected {want[at]:g}"
    )


def _owner(world: World, device: int) -> str:
    """A device by its process: devices of one process are next to each other in the mesh."""
    for peer in world.peers:
        if device < peer.local_devices:
            return f"rank {peer.rank} ({peer.node})"
        device -= peer.local_devices
    return "nobody"
