"""How far the clocks of the nodes are apart, and who came late."""

from __future__ import annotations

import json
from collections.abc import Sequence

from jaxpad.multi import _odd
from jaxpad.multi._compare import answer
from jaxpad.multi._exchange import exchange, meet
from jaxpad.multi._record import Clock
from jaxpad.multi._world import World
from jaxpad.verdict import Verdict

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
    odd = _odd.by_clock(dict(enumerate(spans)), world.nodes, bound.value)
    if odd is None and widest > bound.value:
        said = f"they can be told to {widest:.3g} s only, more than the bound of {bound.value:g} s"
        world.tell.check("clock", Verdict.INCONCLUSIVE, said, "run again on idle nodes")
        return
    well = f"all within {bound.value:g} s of each other (told to {widest:.2g} s)"
    answer(world, "clock", odd, well, _NTP)


def _late(world: World, spans: Sequence[tuple[float, float]]) -> None:
    bound = world.job.bounds["start_spread_most"]
    arrived = {p.rank: p.arrived - sum(spans[p.rank]) / 2 for p in world.peers}
    odd = _odd.by_lag("was ready", arrived, world.nodes, bound.value)
    spread = max(arrived.values()) - min(arrived.values())
    remedy = "look at what starts slowly there: the image, the shared folder, the prolog"
    answer(world, "start", odd, f"all were ready within {spread:.2g} s", remedy)
