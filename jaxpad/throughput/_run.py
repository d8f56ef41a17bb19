"""Run a program on devices, one by one or all at once, and say how fast each was."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from jaxpad.results import Rate
from jaxpad.throughput._clock import Batch, Clock
from jaxpad.throughput._disturb import Disturbance
from jaxpad.throughput._program import Program, alone, as_one

BATCHES = 10


@dataclass(frozen=True)
class _Seat:
    """A device, or all as one (None), and its clock, warm."""

    device: Any | None
    platform: str
    clock: Clock
    calls: int

    def timed(self, enough: Callable[[int], bool]) -> list[Batch]:
        """Batches until there are enough of them."""
        found: list[Batch] = []
        while not enough(len(found)):
            found.append(self.clock.batch(self.calls))
        return found


def run(
    program: Program,
    devices: Sequence[Any],
    *,
    together: bool = False,
    disturb: Disturbance | None = None,
    batches: int = BATCHES,
) -> tuple[Rate, ...]:
    """A rate for each device, or one where all do it as one; median and IQR over batches.

    One by one, the other devices are idle. `together`, a thread each runs the same on all
    devices, and only batches count during which every other device was at it. `disturb` is
    for tests.
    """
    meshes = [as_one(devices)] if program.spans else [alone(device) for device in devices]
    seats = [_seat(program, mesh, disturb) for mesh in meshes]
    if together and len(seats) > 1:
        timed = _all_at_once(seats, batches)
    else:
        timed = [seat.timed(lambda have: have >= batches) for seat in seats]
    return tuple(
        _rate(program, seat, found, together) for seat, found in zip(seats, timed, strict=True)
    )


def _seat(program: Program, mesh: Mesh, disturb: Disturbance | None) -> _Seat:
    first = mesh.devices.flat[0]
    device = None if program.spans else first
    held_up = Clock.held_up
    if disturb is not None:
        name = None if device is None else int(device.id)
        held_up = lambda begun: disturb.during(name, begun)  # noqa: E731
    clock = Clock(program.step(mesh), first.platform, held_up)
    return _Seat(device, first.platform, clock, clock.warm())


def _all_at_once(seats: list[_Seat], batches: int) -> list[list[Batch]]:
    """Each seat's batches while all others ran; JAX lets go of the GIL while it waits.

    A seat may begin long before another, or stand still while the others go on: only batches
    that began when all had ended one are counted, and all go on until each has enough of them.
    """
    barrier, have, early = threading.Barrier(len(seats)), [0] * len(seats), [1] * len(seats)

    def work(place: int) -> list[Batch]:
        """One seat's batches, until every seat has enough."""

        def enough(count: int) -> bool:
            have[place] = count
            if min(have) == 0:
                early[place] = count + 1  # the next one begins before all are at it
                return False
            counted = (all_ - out for all_, out in zip(have, early, strict=True))
            return min(counted) > batches  # one more: the last may not count

        barrier.wait()
        return seats[place].timed(enough)

    with ThreadPoolExecutor(len(seats)) as pool:
        timed = list(pool.map(work, range(len(seats))))
    start = max(found[0].start_s for found in timed)
    stop = min(found[-1].stop_s for found in timed)
    return [
        [one for one in found if start <= one.start_s and one.stop_s <= stop] for found in timed
    ]


def _rate(program: Program, seat: _Seat, batches: list[Batch], together: bool) -> Rate:
    rates = [program.work * one.calls / one.seconds for one in batches]
    lower, median, upper = statistics.quantiles(rates, n=4)
    device = seat.device
    return Rate(
        program=program.name,
        variant=program.variant,
        device=None if device is None else int(device.id),
        platform=seat.platform,
        together=together,
        median=median,
        spread=upper - lower,
        unit=program.unit,
        batches=len(batches),
        start_s=batches[0].start_s,
        stop_s=batches[-1].stop_s,
        ordinal=_ordinal(device),
        intensity=program.intensity,
    )


def _ordinal(device: Any | None) -> int | None:
    if device is None or device.platform == "cpu" or device.local_hardware_id is None:
        return None
    return int(device.local_hardware_id)
