"""Is every process like the others? Each tells what it is, and each compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jaxpad.multi import _odd, _wire
from jaxpad.multi._exchange import exchange
from jaxpad.multi._odd import Nodes, Odd
from jaxpad.multi._record import Identity
from jaxpad.multi._world import Peer, World
from jaxpad.verdict import Verdict

SAME = "run the same image and the same command on every node"


def compare(world: World, mine: Peer) -> World:
    """The world with its peers."""
    world.tell.step("compare", "tell the others what this process is", together=True)
    told = exchange(_wire.dump(mine))
    world = replace(world, peers=tuple(_wire.trusted(Peer, text) for text in told))
    _devices(world)
    kinds = {peer.rank: peer.kind for peer in world.peers}
    answer(world, "device kind", _odd.by_value("device kind", kinds, world.nodes), mine.kind)
    identities = {peer.rank: peer.identity for peer in world.peers}
    for name, odd in differences(identities, world.nodes).items():
        answer(world, name, odd, "the same on every process")
    return world


def differences(identities: Mapping[int, Identity], nodes: Nodes) -> dict[str, Odd | None]:
    """By question: who differs in versions, profile and XLA_FLAGS."""
    packages = sorted({name for one in identities.values() for name in one.versions})
    odd = [
        _odd.by_value(name, {r: one.versions.get(name, "") for r, one in identities.items()}, nodes)
        for name in packages
    ]
    profiles = {rank: one.profile or "" for rank, one in identities.items()}
    return {
        "versions": _joined([one for one in odd if one]),
        "profile": _odd.by_value("profile", profiles, nodes),
        "XLA flags": _odd.flags({r: one.xla_flags for r, one in identities.items()}, nodes),
    }


def _joined(odd: list[Odd]) -> Odd | None:
    if not odd:
        return None
    ranks = {rank for one in odd for rank in one.ranks}
    words = "; ".join(one.words for one in odd)
    return Odd(tuple(sorted(ranks)), words, all(one.sure for one in odd))


def answer(world: World, name: str, odd: Odd | None, well: str, remedy: str = SAME) -> None:
    """A check that fails where somebody is odd."""
    if odd is None:
        world.tell.check(name, Verdict.PASS, well)
        return
    world.tell.check(name, Verdict.FAIL, odd.words, remedy, odd=odd.ranks, sure=odd.sure)


def _devices(world: World) -> None:
    """All devices of all processes are there, and as many as expected."""
    total = world.tell.record.devices or 0
    counted = sum(peer.local_devices for peer in world.peers)
    wanted = world.job.wanted
    processes = wanted.processes or world.job.place.processes
    expected = processes * wanted.devices if wanted.devices else counted
    good = total == counted == expected
    world.tell.check(
        "devices",
        Verdict.PASS if good else Verdict.FAIL,
        f"{total} in all, {counted} counted by the processes, expected {expected}",
        "" if good else "the processes with too few are named by their check of local devices",
    )
