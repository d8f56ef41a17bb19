"""Optimised HLO as a program: computations in the order they run, loops and trip counts."""

from __future__ import annotations

import functools as ft
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# HLO's operations by what they cost: https://openxla.org/xla/operation_semantics.

# One FLOP for each element they yield.
ARITHMETIC = frozenset(
    {
        "abs",
        "add",
        "and",
        "atan2",
        "cbrt",
        "ceil",
        "clamp",
        "compare",
        "cosine",
        "divide",
        "erf",
        "exponential",
        "exponential-minus-one",
        "floor",
        "log",
        "log-plus-one",
        "logistic",
        "maximum",
        "minimum",
        "multiply",
        "negate",
        "not",
        "or",
        "power",
        "remainder",
        "round-nearest-afz",
        "round-nearest-even",
        "rsqrt",
        "select",
        "shift-left",
        "shift-right-arithmetic",
        "shift-right-logical",
        "sign",
        "sine",
        "sqrt",
        "subtract",
        "tan",
        "tanh",
        "xor",
    }
)
REDUCTIONS = frozenset({"reduce", "reduce-window"})
PRODUCTS = frozenset({"dot", "scaled-dot"})
SLICES = frozenset({"dynamic-slice", "slice", "gather"})
VIEWS = frozenset({"bitcast", "tuple", "get-tuple-element"})
# What they compute depends on data or on a library.
UNCOUNTED = frozenset(
    {
        "cholesky",
        "fft",
        "map",
        "rng",
        "rng-bit-generator",
        "select-and-scatter",
        "sort",
        "topk",
        "triangular-solve",
    }
)
# They write into their first operand, here the number of the operand that says how much.
UPDATES = {"dynamic-update-slice": 1, "scatter": -1}
CALLERS = frozenset({"while", "call", "conditional"})
# They launch nothing on the GPU, or run other instructions.
NO_KERNEL = frozenset(
    {
        "parameter",
        "constant",
        "tuple",
        "get-tuple-element",
        "bitcast",
        "after-all",
        "add-dependency",
        "while",
        "call",
        "conditional",
        "async-update",
        "async-done",
        "copy-done",
        "opt-barrier",
        "domain",
        "partition-id",
        "replica-id",
        "get-dimension-size",
    }
)


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


# Which devices take part in a collective, whatever form the HLO lists them in.

Groups = list[list[int]]


def groups(module: Module, one: Any) -> Groups | None:
    """The devices of each group of a collective, None where the HLO names no groups.

    A permutation has a group for each pair of source and target.
    """
    if one.source_target_pairs:
        return _devices(module, [[each.source, each.target] for each in one.source_target_pairs])
    if one.HasField("mesh_axes_replica_group_list"):
        return _devices(module, _mesh_axes(one.mesh_axes_replica_group_list))
    if one.HasField("iota_collective_device_list"):
        return _devices(module, _iota(one.iota_collective_device_list))
    listed = one.collective_device_list.replica_groups or one.replica_groups
    if listed:
        return _devices(module, [list(each.replica_ids) for each in listed])
    assigned = module.proto.device_assignment
    everyone = range(assigned.replica_count * assigned.computation_count)
    named = one.opcode not in ("send", "recv")
    return _devices(module, [list(everyone)]) if everyone and named else None


def crosses(found: Groups | None, devices_per_host: int | None) -> bool:
    """Whether a group has devices in several hosts, which hold their devices in a row."""
    if devices_per_host is None:
        return False
    return any(len({each // devices_per_host for each in one}) > 1 for one in found or ())


def _iota(noted: Any) -> Groups:
    """Numbers in a row, reshaped, transposed and cut into groups."""
    shape = (noted.num_replica_groups, noted.num_devices_per_group)
    dimensions = tuple(noted.iota_reshape_dims) or shape
    order = tuple(noted.iota_transpose_perm) or tuple(range(len(dimensions)))
    return _cut(np.arange(np.prod(shape)).reshape(dimensions).transpose(order), shape[1])


def _mesh_axes(noted: Any) -> Groups:
    """The axes of a mesh, whole or in part, along which devices take part."""
    sizes, along = list[int](), list[int]()
    parts = {each.mesh_axis_index: each for each in noted.axes if each.HasField("sub_axis_info")}
    whole = {each.mesh_axis_index for each in noted.axes} - parts.keys()
    for number, axis in enumerate(noted.mesh.axes):
        if number in parts:
            part = parts[number].sub_axis_info
            along.append(len(sizes) + 1)
            sizes += [part.pre_size, part.size, axis.size // (part.pre_size * part.size)]
        else:
            along += [len(sizes)] if number in whole else []
            sizes.append(axis.size)
    apart = [axis for axis in range(len(sizes)) if axis not in along]
    width = int(np.prod([sizes[axis] for axis in along]))
    return _cut(_mesh(noted.mesh).reshape(sizes).transpose(apart + along), width)


def _mesh(mesh: Any) -> Any:
    if mesh.device_ids:
        return np.array(mesh.device_ids)
    numbers = np.arange(np.prod([axis.size for axis in mesh.axes], dtype=int))
    if not mesh.HasField("iota_transform"):
        return numbers
    shaped = numbers.reshape(tuple(mesh.iota_transform.reshape_dims))
    return shaped.transpose(tuple(mesh.iota_transform.transpose_perm)).ravel()


def _cut(numbers: Any, width: int) -> Groups:
    found: Groups = numbers.reshape(-1, width).tolist()
    return found


def _devices(module: Module, numbered: Groups) -> Groups:
    """The devices behind the numbers: partition by partition in each replica."""
    held = module.proto.device_assignment.computation_devices
    count = len(held)
    return [
        [held[each % count].replica_device_ids[each // count] if count else each for each in one]
        for one in numbered
    ]
