"""The workloads that jaxpad brings."""

from __future__ import annotations

import functools
import importlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpad.workloads._model import Program, Workload

if TYPE_CHECKING:
    from jax.sharding import Mesh

_FOLDER = Path(__file__).parent / "programs"


def _workload(name: str, axes: dict[str, int], description: str, hosts: int = 1) -> Workload:
    module = name.partition("-")[0]
    return Workload(
        name=name,
        description=description,
        devices=f"1x{hosts}x{math.prod(axes.values()) // hosts}",
        axes=axes,
        sources=(_FOLDER / f"{module}.py", *sorted(_FOLDER.glob("_[a-z]*.py"))),
        build=functools.partial(_build, module),
    )


def _build(module: str, mesh: Mesh) -> Program:
    found: Program = importlib.import_module(f"jaxpad.workloads.programs.{module}").program(mesh)
    return found


_ALL = (
    _workload("dense", {"gpu": 1}, "training step of two MLPs"),
    _workload("transformer", {"gpu": 1}, "training step of a decoder: scanned blocks, remat"),
    _workload("conv", {"gpu": 1}, "training step of a residual convolutional network"),
    _workload("decode", {"gpu": 1}, "one decode step with a KV cache"),
    _workload("dp", {"data": 8}, "data parallel training step"),
    _workload("fsdp", {"fsdp": 8}, "FSDP training step over scanned layers, one node of 8"),
    _workload(
        "fsdp-2x8", {"replica": 2, "fsdp": 8}, "the same over two nodes: FSDP in a node", hosts=2
    ),
    _workload("tp", {"model": 8}, "tensor and sequence parallel training step"),
    _workload("pp", {"stage": 8}, "pipeline parallel training step: GPipe, collective permutes"),
    _workload("moe", {"expert": 8}, "mixture of experts training step: all-to-alls"),
)
BUILT_IN = {workload.name: workload for workload in _ALL}
