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

    def timed(self, enough: Callable[[int], bool], found: list[Batch]) -> list[Batch]:
        """Batches, added to those found, until there are enough of them."""
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
        timed = [seat.timed(lambda have: have >= batches, []) for seat in seats]
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

    A thread may begin long after another, or stand still meanwhile: all go on until each has
    enough of the batches that count.
    """
    barrier, found = threading.Barrier(len(seats)), [list[Batch]() for _ in seats]

    def enough(_: int) -> bool:
        return min(map(len, _shared(found))) >= batches

    def work(place: int) -> None:
        barrier.wait()
        seats[place].timed(enough, found[place])

    with ThreadPoolExecutor(len(seats)) as pool:
        list(pool.map(work, range(len(seats))))
    return _shared(found)


def _shared(found: Sequence[Sequence[Batch]]) -> list[list[Batch]]:
    """The batches between the time by which all had begun and the first one's last."""
    if not all(found):
        return [[] for _ in found]
    start, stop = max(each[0].start_s for each in found), min(each[-1].stop_s for each in found)
    return [[one for one in each if start <= one.start_s and one.stop_s <= stop] for each in found]


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
