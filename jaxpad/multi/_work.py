"""All that the worker does, stage by stage, in the same order on every process."""

from __future__ import annotations

from jaxpad.multi._clock import clock
from jaxpad.multi._compare import compare
from jaxpad.multi._join import join, start
from jaxpad.multi._look import look
from jaxpad.multi._teller import Teller
from jaxpad.multi._world import Job, World


def work(job: Job, tell: Teller) -> None:
    """Run every check. Raises what JAX raises."""
    world = World(job, tell)
    start(world)
    join(world)
    world = compare(world, look(world))
    clock(world)
    _collectives(world)
    tell.step("leave", "leave together", together=True)
    import jax

    jax.distributed.shutdown()


def _collectives(world: World) -> None:
    import jax

    from jaxpad.multi._collectives import KINDS, mesh
    from jaxpad.multi._correct import correct
    from jaxpad.multi._network import network
    from jaxpad.multi._pairs import pairs
    from jaxpad.multi._speed import Times, compare_times, times

    everywhere = mesh(sorted(jax.devices(), key=lambda one: (one.process_index, one.id)))
    own: Times = {}
    for kind in KINDS:
        correct(world, everywhere, kind)
        own |= times(world, everywhere, kind)
    compare_times(world, everywhere, own)
    network(world)
    if world.job.pairwise:
        pairs(world, everywhere)
