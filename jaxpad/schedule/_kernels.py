"""Which instruction is which kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule._collectives import is_collective
from jaxpad.schedule._cost import Cost, cost
from jaxpad.schedule._hlo import Computation, Module, Placed
from jaxpad.schedule._model import Kernels
from jaxpad.schedule._opcodes import NO_KERNEL, PRODUCTS

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
