"""Which compute hides which collective, by the roofline model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule._collectives import Found, collective, done, group, is_sync, moved, sent
from jaxpad.schedule._groups import groups
from jaxpad.schedule._hlo import Computation, Module, Placed
from jaxpad.schedule._kernels import kernel
from jaxpad.schedule._model import Between, Collective, Overlap
from jaxpad.schedule._opcodes import CALLERS
from jaxpad.schedule._roofline import Roofline


@dataclass(frozen=True)
class Reader:
    """One module under one model."""

    module: Module
    model: Roofline

    def collectives(self, places: Iterable[Placed]) -> tuple[Collective, ...]:
        """Every collective in the order of the schedule."""
        return tuple(
            self._collective(place, position, found)
            for place in places
            for position, one in enumerate(place.computation.instructions)
            if (found := collective(self.module, place.computation, one))
        )

    def overlap(self, places: tuple[Placed, ...], found: tuple[Collective, ...]) -> Overlap:
        """The times of the whole program."""
        computing = [self._alone(place) for place in places]
        return Overlap(
            compute=_sum(computing),
            communication=_sum([_times(one.seconds, one.runs) for one in found]),
            exposed=_sum([_times(one.exposed_seconds, one.runs) for one in found]),
            figures=dict(self.model.used),
            missing=tuple(self.model.missing),
        )

    def _collective(self, place: Placed, position: int, found: Found) -> Collective:
        inside = place.computation
        start, devices = inside.instructions[position], group(self.module, found.operation)
        end = done(inside, start) if found.form != "plain" else None
        waits = end is not None and not is_sync(self.module, start, found.operation)
        window = inside.instructions[position + 1 : inside.instructions.index(end)] if waits else ()
        leaving = sent(found.kind, moved(found), devices)
        return Collective(
            kind=found.kind,
            bytes=moved(found),
            sent=leaving,
            group=devices,
            asynchronous=waits,
            form=found.form,
            loops=place.loops,
            runs=place.runs,
            seconds=self.model.collective(
                found.kind, leaving, groups(self.module, found.operation)
            ),
            between=self._between(window, inside, True),
        )

    def _between(self, window: Iterable[Any], inside: Computation, descend: bool) -> Between:
        """The kernels of some instructions; of the loops among them too, if asked to."""
        counted, seconds = Counter[str](), list[float | None]()
        for one in window:
            found = kernel(self.module, inside, one)
            if found:
                counted[found.kind] += 1
                seconds.append(self.model.kernel(found.kind, found.cost))
            elif descend and one.opcode in CALLERS:
                inner = self._called(one)
                counted.update(inner.kernels)
                seconds.append(inner.seconds)
        return Between(dict(sorted(counted.items())), _sum(seconds))

    def _called(self, one: Any) -> Between:
        trips = self.module.trips(one) if one.opcode == "while" else 1
        parts = [self._between(each.instructions, each, True) for each in self.module.called(one)]
        if one.opcode == "conditional" or trips is None:
            self.model.missing["which branch runs" if trips else "a loop's trip count"] = None
            return Between({}, None)
        counted = Counter[str]()
        for part in parts:
            counted.update({kind: number * trips for kind, number in part.kernels.items()})
        return Between(counted, _times(_sum([part.seconds for part in parts]), trips))

    def _alone(self, place: Placed) -> float | None:
        """The compute of one computation in all its runs, of those it calls not."""
        if place.runs is None:
            self.model.missing["a loop's trip count"] = None
        inside = place.computation
        return _times(self._between(inside.instructions, inside, False).seconds, place.runs)


def _sum(seconds: Iterable[float | None]) -> float | None:
    numbers = list(seconds)
    known = [number for number in numbers if number is not None]
    return sum(known, 0.0) if len(known) == len(numbers) else None


def _times(seconds: float | None, runs: int | None) -> float | None:
    return None if seconds is None or runs is None else seconds * runs
