"""A cell and what came of it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule import Program

Words = tuple[str, ...]  # flags as they stand in XLA_FLAGS, in their order


class NoProgramError(Exception):
    """What all is held to does not compile, so that no flag can be judged: one sentence."""


@dataclass(frozen=True)
class Cell:
    """One flag set for one GPU and workload: names that `gpus` and `workloads` load."""

    gpu: str
    workload: str
    words: Words = ()


@dataclass(frozen=True)
class Outcome:
    """What XLA made of a cell: a program, or why there is none.

    `lasting` is False where another run may end otherwise: a compile that was too slow, or
    whose process somebody killed.
    """

    program: Program | None = None
    message: str = ""
    lasting: bool = True


@dataclass(frozen=True, eq=False)
class Task:
    """A cell to compile.

    `options` are the flags as compile options with their types, None where only XLA_FLAGS
    of a process of its own can say them.
    """

    cell: Cell
    options: Mapping[str, Any] | None
