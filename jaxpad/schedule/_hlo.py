"""Optimised HLO as a program: computations in the order they run, loops and trip counts."""

from __future__ import annotations

import functools as ft
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule._opcodes import CALLERS

_BITS = re.compile(r"B?[A-Z](\d+)")


@dataclass(frozen=True)
class Computation:
    """One computation, its instructions in the order of the schedule where there is one."""

    instructions: tuple[Any, ...]
    root: Any

    @ft.cached_property
    def by_id(self) -> Mapping[int, Any]:
        return {one.id: one for one in self.instructions}

    @ft.cached_property
    def users(self) -> Mapping[int, list[Any]]:
        """The instructions that read a value, by its id."""
        found: dict[int, list[Any]] = {}
        for one in self.instructions:
            for operand in one.operand_ids:
                found.setdefault(operand, []).append(one)
        return found

    def operands(self, instruction: Any) -> tuple[Any, ...]:
        """The instructions that an instruction reads."""
        return tuple(self.by_id[operand] for operand in instruction.operand_ids)


@dataclass(frozen=True)
class Placed:
    """A computation that runs on its own account.

    `loops` holds the trip counts of the loops around it, the outermost first; None where XLA
    does not know one.
    """

    computation: Computation
    loops: tuple[int | None, ...]

    @property
    def runs(self) -> int | None:
        """How often it runs in one run of the program, None where nobody knows."""
        return times(self.loops)


@dataclass(frozen=True)
class Module:
    """One `xla.HloModuleProto`."""

    proto: Any

    @ft.cached_property
    def computations(self) -> Mapping[int, Computation]:
        return {one.id: self._computation(one) for one in self.proto.computations}

    @property
    def entry(self) -> Computation:
        return self.computations[self.proto.entry_computation_id]

    def called(self, instruction: Any) -> tuple[Computation, ...]:
        """The computations that an instruction names."""
        return tuple(self.computations[one] for one in instruction.called_computation_ids)

    def config(self, instruction: Any) -> dict[str, Any]:
        """What the backend noted at an instruction; empty where it noted nothing."""
        text = instruction.backend_config
        if instruction.HasField("backend_config_payload"):
            payload = instruction.backend_config_payload
            text = payload.value or self.proto.payloads[payload.id]
        try:
            noted = json.loads(text or b"{}")
        except ValueError:
            return {}
        return noted if isinstance(noted, dict) else {}

    def trips(self, loop: Any) -> int | None:
        """The trip count of a while instruction, None where XLA does not know it."""
        known = self.config(loop).get("known_trip_count", {}).get("n")
        return None if known is None else int(known)

    def placed(self) -> Iterator[Placed]:
        """The entry computation and every one it runs, fusions left out."""
        yield from self._placed(Placed(self.entry, ()))

    def _placed(self, place: Placed) -> Iterator[Placed]:
        yield place
        for one in place.computation.instructions:
            if one.opcode in CALLERS:
                inner = (self.trips(one),) if one.opcode == "while" else ()
                for called in self.called(one):
                    yield from self._placed(Placed(called, place.loops + inner))

    def _computation(self, proto: Any) -> Computation:
        by_id = {one.id: one for one in proto.instructions}
        order = self.proto.schedule.sequences
        ids = order[proto.id].instruction_ids if proto.id in order else by_id
        return Computation(tuple(by_id[one] for one in ids), by_id[proto.root_id])


def times(counts: tuple[int | None, ...]) -> int | None:
    """The product of trip counts, None where one is unknown."""
    product = 1
    for count in counts:
        if count is None:
            return None
        product *= count
    return product


def elements(shape: Any) -> int:
    """The number of elements; of a tuple, of all its parts together."""
    if shape.tuple_shapes:
        return sum(map(elements, shape.tuple_shapes))
    product = 1
    for dimension in shape.dimensions:
        product *= dimension
    return product


def dtype(shape: Any) -> str:
    """XLA's name of the element type in lower case, such as `bf16`."""
    field = shape.DESCRIPTOR.fields_by_name["element_type"]
    name: str = field.enum_type.values_by_number[shape.element_type].name
    return name.lower()


def size(shape: Any) -> int:
    """The bytes of a shape, a tuple's table of pointers left out."""
    if shape.tuple_shapes:
        return sum(map(size, shape.tuple_shapes))
    name = dtype(shape).upper()
    found = _BITS.match(name)
    bits = 8 if name == "PRED" else int(found[1]) if found else 0  # a token has none
    return (elements(shape) * bits + 7) // 8
