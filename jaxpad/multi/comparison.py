"""Is every process like the others? Each tells what it is, and each compares."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jaxpad.core.results import Verdict
from jaxpad.multi import record
from jaxpad.multi.context import Peer, World, exchange, meet
from jaxpad.multi.record import Clock, Identity

# Who is not as the others: the same questions for a process and for the merge.

_MOST = 8  # nodes named one by one

Nodes = Mapping[int, str]  # node by rank


@dataclass(frozen=True)
class Odd:
    """The ranks that stand out. `sure` is False where no majority says which are right."""

    ranks: tuple[int, ...]
    words: str
    sure: bool = True


def places(ranks: Iterable[int], nodes: Nodes) -> str:
    """Ranks by node in words: "n1 (rank 3), n2 (ranks 4, 5)"."""
    by_node: dict[str, list[int]] = {}
    for rank in sorted(ranks):
        by_node.setdefault(nodes[rank], []).append(rank)
    found = [f"{node} ({ranks_words(those)})" for node, those in by_node.items()]
    rest = len(found) - _MOST
    return ", ".join(found[:_MOST]) + (f" and {rest} more nodes" if rest > 0 else "")


def ranks_words(ranks: Sequence[int]) -> str:
    """Ranks in words."""
    if len(ranks) > 2 and ranks[-1] - ranks[0] == len(ranks) - 1:
        return f"ranks {ranks[0]} to {ranks[-1]}"
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"


def outliers_by_value(what: str, values: Mapping[int, str], nodes: Nodes) -> Odd | None:
    """Those whose value is not that of more than half; None if all have the same."""
    groups: dict[str, list[int]] = {}
    for rank, value in sorted(values.items()):
        groups.setdefault(value, []).append(rank)
    if len(groups) < 2:
        return None
    most = max(groups, key=lambda value: len(groups[value]))
    if len(groups[most]) * 2 > len(values):
        odd = {value: ranks for value, ranks in groups.items() if value != most}
        told = [f"{value or 'none'} on {places(ranks, nodes)}" for value, ranks in odd.items()]
        words = f"{what}: {'; '.join(told)}; {most or 'none'} on the others"
        return Odd(tuple(rank for ranks in odd.values() for rank in ranks), words)
    told = [f"{value or 'none'} on {places(ranks, nodes)}" for value, ranks in groups.items()]
    return Odd(tuple(sorted(values)), f"{what}: {'; '.join(told)}", sure=False)


def outlier_flags(values: Mapping[int, str], nodes: Nodes) -> Odd | None:
    """`by_value` for XLA_FLAGS, of which only the flags that are not common to all are shown."""
    words = {rank: value.split() for rank, value in values.items()}
    common = set.intersection(*(set(each) for each in words.values())) if words else set()
    short = {rank: " ".join(w for w in each if w not in common) for rank, each in words.items()}
    if len(set(values.values())) > 1 and len(set(short.values())) < 2:
        return outliers_by_value("XLA_FLAGS", values, nodes)  # the same words in another order
    return outliers_by_value("XLA_FLAGS", short, nodes)


def outliers_by_clock(
    spans: Mapping[int, tuple[float, float]], nodes: Nodes, most_s: float
) -> Odd | None:
    """Nodes whose clock is off by more than `most_s`.

    Of each rank the span says how far its clock is ahead of rank 0's: surely between the
    two, in seconds.
    """
    ahead = _by_node({rank: (low + high) / 2 for rank, (low, high) in spans.items()}, nodes)
    widest = max((high - low for low, high in spans.values()), default=0.0) / 2
    middle = statistics.median(ahead.values()) if ahead else 0.0
    if not ahead or max(ahead.values()) - min(ahead.values()) <= most_s + widest:
        return None
    far = {node: at - middle for node, at in ahead.items() if abs(at - middle) > most_s / 2}
    told = [f"{node} by {at:+.3g} s" for node, at in sorted(far.items())[:_MOST]]
    ranks = tuple(rank for rank in sorted(spans) if nodes[rank] in far)
    return Odd(ranks, f"clocks differ: {', '.join(told)} from the middle", len(ahead) > 2)


def _by_node(values: Mapping[int, float], nodes: Nodes) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for rank, value in values.items():
        found.setdefault(nodes[rank], []).append(value)
    return {node: statistics.median(each) for node, each in found.items()}


def outliers_by_lag(
    what: str, lags: Mapping[int, float], nodes: Nodes, most_s: float
) -> Odd | None:
    """Ranks that came more than `most_s` after the middle one, in seconds of one clock."""
    middle = statistics.median_low(lags.values()) if lags else 0.0
    late = {rank: lag - middle for rank, lag in lags.items() if lag - middle > most_s}
    if not late:
        return None
    seconds = max(late.values())
    return Odd(
        tuple(sorted(late)), f"{places(late, nodes)} {what} {seconds:.3g} s after the others"
    )


SAME = "run the same image and the same command on every node"


def compare(world: World, mine: Peer) -> World:
    """The world with its peers."""
    world.tell.step("compare", "tell the others what this process is", together=True)
    told = exchange(record.dump(mine))
    world = replace(world, peers=tuple(record.trusted(Peer, text) for text in told))
    _devices(world)
    kinds = {peer.rank: peer.kind for peer in world.peers}
    answer(world, "device kind", outliers_by_value("device kind", kinds, world.nodes), mine.kind)
    identities = {peer.rank: peer.identity for peer in world.peers}
    for name, odd in differences(identities, world.nodes).items():
        answer(world, name, odd, "the same on every process")
    return world


def differences(identities: Mapping[int, Identity], nodes: Nodes) -> dict[str, Odd | None]:
    """By question: who differs in versions, profile and XLA_FLAGS."""
    packages = sorted({name for one in identities.values() for name in one.versions})
    odd = [
        outliers_by_value(
            name, {r: one.versions.get(name, "") for r, one in identities.items()}, nodes
        )
        for name in packages
    ]
    profiles = {rank: one.profile or "" for rank, one in identities.items()}
    return {
        "versions": _joined([one for one in odd if one]),
        "profile": outliers_by_value("profile", profiles, nodes),
        "XLA flags": outlier_flags({r: one.xla_flags for r, one in identities.items()}, nodes),
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


# How far the clocks of the nodes are apart, and who came late.

ROUNDS = 20
_NTP = "let chrony or another NTP daemon keep the clock of every node: chronyc tracking"

Times = Sequence[tuple[float, float]]  # when a process came to a barrier, and when it left


def clock(world: World) -> None:
    """Nobody leaves a barrier before everybody has come, so each one bounds the offsets."""
    world.tell.step("clock", f"meet the others {ROUNDS} times", together=True)
    meet()  # compiles
    own = [_meet_once(world) for _ in range(ROUNDS)]
    times = [[(a, b) for a, b in json.loads(text)] for text in exchange(json.dumps(own))]
    spans = [span(times[0], theirs) for theirs in times]
    least, most = spans[world.job.place.rank]
    world.tell.tell(clock=Clock(least, most))
    _judge(world, spans)
    _late(world, spans)


def _meet_once(world: World) -> tuple[float, float]:
    came = world.tell.now()
    meet()
    return came, world.tell.now()


def span(first: Times, other: Times) -> tuple[float, float]:
    """The least and the most seconds by which the other's clock is ahead of the first's.

    The other left after the first had come, and came before the first had left; so its
    clock is ahead by at most (its leaving - first's coming), at least (its coming - first's
    leaving). The tightest bounds of all rounds.
    """
    rounds = list(zip(first, other, strict=True))
    least = max(came - left for (_, left), (came, _) in rounds)
    most = min(left - came for (came, _), (_, left) in rounds)
    return (0.0, 0.0) if first == other else (least, most)


def _judge(world: World, spans: Sequence[tuple[float, float]]) -> None:
    bound = world.job.bounds["clock_offset_most"]
    widest = max(high - low for low, high in spans) / 2
    odd = outliers_by_clock(dict(enumerate(spans)), world.nodes, bound.value)
    if odd is None and not widest <= bound.value:  # also of what is no number
        said = f"they can be told to {widest:.3g} s only, more than the bound of {bound.value:g} s"
        world.tell.check("clock", Verdict.INCONCLUSIVE, said, "run again on idle nodes")
        return
    well = f"all within {bound.value:g} s of each other (told to {widest:.2g} s)"
    answer(world, "clock", odd, well, _NTP)


def _late(world: World, spans: Sequence[tuple[float, float]]) -> None:
    bound = world.job.bounds["start_spread_most"]
    arrived = {p.rank: p.arrived - sum(spans[p.rank]) / 2 for p in world.peers}
    odd = outliers_by_lag("was ready", arrived, world.nodes, bound.value)
    spread = max(arrived.values()) - min(arrived.values())
    remedy = "look at what starts slowly there: the image, the shared folder, the prolog"
    answer(world, "start", odd, f"all were ready within {spread:.2g} s", remedy)
