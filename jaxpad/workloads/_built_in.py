"""The workloads that jaxpad brings: configs/workloads.toml, a program each."""

from __future__ import annotations

import functools
import importlib
import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpad.paths import CONFIGS
from jaxpad.workloads._model import Program, Workload

if TYPE_CHECKING:
    from jax.sharding import Mesh

_FOLDER = Path(__file__).parent / "programs"


def _workload(name: str, description: str, axes: dict[str, int], hosts: int = 1) -> Workload:
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


_TABLES = tomllib.loads((CONFIGS / "workloads.toml").read_text())
BUILT_IN = {name: _workload(name, **table) for name, table in _TABLES.items()}
