"""Which compute hides which collective, by the roofline model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule.cost import Cost, Roofline, cost
from jaxpad.schedule.hlo import (
    CALLERS,
    NO_KERNEL,
    PRODUCTS,
    Computation,
    Module,
    Placed,
    groups,
    size,
)
from jaxpad.schedule.model import Between, Collective, Kernels, Overlap

# Collective operations: kind, bytes, group, asynchronous or not.

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


# Which instruction is which kernel.

_LIBRARIES = (
    ("__cublas$lt", "cuBLASLt call"),
    ("__cublas$", "cuBLAS call"),
    ("__cudnn$", "cuDNN call"),
    ("__cub$", "sort"),
)
_HEROES = (("scatter", "scatter"), ("transpose", "transpose"), ("reduce", "reduction fusion"))


@dataclass(frozen=True)
class Kernel:
    """One kernel and what it costs in one run."""

    kind: str
    cost: Cost
    asynchronous: bool = False


def kernel(module: Module, inside: Computation, one: Any) -> Kernel | None:
    """The kernel an instruction launches; None for a collective and for what launches none."""
    if one.opcode in NO_KERNEL or is_collective(module, one):
        return None
    if one.opcode == "async-start":
        wrapped = module.called(one)[0]
        found = kernel(module, wrapped, wrapped.root)
        return Kernel(found.kind, found.cost, True) if found else None
    return Kernel(kind(module, one), cost(module, inside, one), one.opcode == "copy-start")


def kernels(module: Module, places: tuple[Placed, ...]) -> tuple[Kernels, ...]:
    """Every kernel of a program, by kind, in alphabetical order."""
    found: dict[str, list[tuple[Kernel, int | None]]] = {}
    for place, each in _all(module, places):
        found.setdefault(each.kind, []).append((each, place.runs))
    return tuple(_summary(name, found[name]) for name in sorted(found))


def kind(module: Module, one: Any) -> str:
    """What people call it: `Triton GEMM`, `cuBLASLt call`, `loop fusion`, `sort`."""
    if one.opcode == "custom-call":
        target = one.custom_call_target
        known = (name for start, name in _LIBRARIES if target.startswith(start))
        return next(known, f"custom call {target}")
    if one.opcode != "fusion":
        return "copy" if one.opcode == "copy-start" else str(one.opcode)
    return _fusion(module, one)


def _fusion(module: Module, one: Any) -> str:
    noted = module.config(one).get("fusion_backend_config", {})
    backend, inside = noted.get("kind", ""), _opcodes(module, one)
    if backend.startswith("__triton"):
        return "Triton GEMM" if inside & PRODUCTS else "Triton fusion"
    if backend.startswith("__cudnn"):
        return "cuDNN fusion"
    if one.fusion_kind == "kCustom":
        name = "sort" if "sort" in inside else ""
        name = name or noted.get("custom_fusion_config", {}).get("name", "")
        return name.replace("_", " ") if name else "custom fusion"
    if one.fusion_kind == "kInput":
        return next((name for opcode, name in _HEROES if opcode in inside), "input fusion")
    return "loop fusion"


def _opcodes(module: Module, one: Any) -> set[str]:
    found = set()
    for called in module.called(one):
        for each in called.instructions:
            found.add(each.opcode)
            if each.opcode == "fusion":
                found |= _opcodes(module, each)
    return found


def _all(module: Module, places: tuple[Placed, ...]) -> Iterator[tuple[Placed, Kernel]]:
    for place in places:
        for one in place.computation.instructions:
            found = kernel(module, place.computation, one)
            if found:
                yield place, found


def _summary(name: str, found: list[tuple[Kernel, int | None]]) -> Kernels:
    runs = [run for _, run in found]
    return Kernels(
        kind=name,
        count=len(found),
        asynchronous=sum(each.asynchronous for each, _ in found),
        runs=total(runs),
        flops=total([product(each.cost.total, run) for each, run in found]),
        bytes=total([product(each.cost.bytes, run) for each, run in found]),
    )


def total(numbers: list[int | None]) -> int | None:
    """The sum, None where a number is missing."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def product(one: int | None, other: int | None) -> int | None:
    """The product, None where a number is missing."""
    return None if one is None or other is None else one * other


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
