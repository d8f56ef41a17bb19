"""Collective operations: kind, bytes, group, asynchronous or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxpad.schedule._groups import groups
from jaxpad.schedule._hlo import Computation, Module, size

# https://openxla.org/xla/operation_semantics
KINDS = (
    "all-gather",
    "all-reduce",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
    "send",
    "recv",
)
_STARTS = {f"{kind}-start": kind for kind in KINDS}
_DONES = frozenset({"async-done", "send-done", "recv-done"} | {f"{kind}-done" for kind in KINDS})
_WRAPPERS = frozenset({"async-start", "fusion"})


@dataclass(frozen=True)
class Found:
    """A collective: the operation itself and how it is written."""

    kind: str
    operation: Any
    inside: Computation
    form: str


def is_collective(module: Module, one: Any) -> bool:
    """Whether an instruction starts, is or ends a collective."""
    return one.opcode in _DONES or collective(module, module.entry, one) is not None


def collective(module: Module, inside: Computation, one: Any) -> Found | None:
    """The collective that an instruction starts or is."""
    if one.opcode in ("send", "recv"):
        return Found(one.opcode, one, inside, "start and done")
    if one.opcode in KINDS:
        return Found(one.opcode, one, inside, "plain")
    if one.opcode in _STARTS:
        return Found(_STARTS[one.opcode], one, inside, "start and done")
    if one.opcode in _WRAPPERS:
        for called in module.called(one):
            for each in called.instructions:
                found = collective(module, called, each)
                if found:
                    wrapped = "wrapped" if one.opcode == "async-start" else found.form
                    return Found(found.kind, found.operation, found.inside, wrapped)
    return None


def done(inside: Computation, start: Any) -> Any | None:
    """The instruction that waits for what `start` started."""
    waiting = {start.id}
    for one in inside.instructions:
        if waiting & set(one.operand_ids):
            if one.opcode in _DONES:
                return one
            if one.opcode == "async-update":
                waiting.add(one.id)
    return None


def is_sync(module: Module, start: Any, operation: Any) -> bool:
    """Whether XLA runs a pair on the compute stream; noted at the start or what it wraps."""
    noted = (module.config(one).get("collective_backend_config", {}) for one in (start, operation))
    return any(each.get("is_sync", False) for each in noted)


def moved(found: Found) -> int:
    """The larger of what goes in and what comes out on one device, in bytes."""
    read = sum(size(each.shape) for each in found.inside.operands(found.operation))
    shape = found.operation.shape
    if found.form == "start and done" and found.kind == "recv":
        return size(shape.tuple_shapes[0])
    if found.form == "start and done" and found.kind == "send":
        return size(found.inside.operands(found.operation)[0].shape)
    if found.operation.opcode in ("all-gather-start", "collective-permute-start"):
        shape = shape.tuple_shapes[1]  # operands, results, contexts
    return max(read, size(shape))


def sent(kind: str, moved_bytes: int, group: int | None) -> int | None:
    """What a ring sends from each device in one run, in bytes.

    Source: the bus bandwidth factors of
    https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md
    """
    if kind in ("send", "recv", "collective-permute", "collective-broadcast"):
        return moved_bytes
    if group is None or kind == "ragged-all-to-all":
        return None
    rounds = 2 if kind == "all-reduce" else 1
    return rounds * moved_bytes * (group - 1) // group


def group(module: Module, one: Any) -> int | None:
    """How many devices take part, None where the HLO does not say."""
    found = groups(module, one)
    if found is None or one.source_target_pairs:
        return None
    return max(map(len, found))
