"""The matrix as plain data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.effects import Cell, Outcome

Effects = Mapping[str, Any]  # an Explanation as its `to_json` gives it


@dataclass(frozen=True)
class Build:
    """What one part of the matrix was computed with.

    `releases` are the packages that the answers hang on, `programs` how many different ones
    the cells compile to. `seconds` are those of all compiles added up, each on one core.
    """

    jaxlib: str
    releases: Mapping[str, str]
    date: str
    machine: str
    cells: int
    programs: int
    seconds: int


@dataclass(frozen=True)
class CellRow:
    """One cell: the digest of its program, or XLA's message where there is none."""

    jaxlib: str
    gpu: str
    workload: str
    flags: str
    digest: str = ""
    message: str = ""

    @classmethod
    def of(cls, jaxlib: str, cell: Cell, outcome: Outcome) -> CellRow:
        """The row of a cell and its outcome."""
        words = " ".join(cell.words)
        if outcome.program is None:
            return cls(jaxlib, cell.gpu, cell.workload, words, message=outcome.message)
        parts = outcome.program.digest.parts
        text = " ".join(f"{name}={part.digest}" for name, part in sorted(parts.items()))
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        return cls(jaxlib, cell.gpu, cell.workload, words, digest=digest)

    @property
    def cell(self) -> Cell:
        """The cell that this row is of."""
        return Cell(self.gpu, self.workload, tuple(self.flags.split()))


@dataclass(frozen=True)
class Matrix:
    """All cells, and what they say of each profile's flags, by jaxlib."""

    builds: tuple[Build, ...] = ()
    cells: tuple[CellRow, ...] = ()
    effects: tuple[Effects, ...] = ()

    def with_part(self, part: Matrix) -> Matrix:
        """The same with another's builds in place of those of the same jaxlibs."""
        new = {build.jaxlib for build in part.builds}
        return Matrix(
            tuple(
                sorted(
                    (*(b for b in self.builds if b.jaxlib not in new), *part.builds),
                    key=lambda build: build.jaxlib,
                )
            ),
            (*(c for c in self.cells if c.jaxlib not in new), *part.cells),
            (*(e for e in self.effects if e["jaxlib"] not in new), *part.effects),
        )

    def part(self, jaxlib: str) -> Matrix:
        """The part of one jaxlib; empty where there is none."""
        return Matrix(
            tuple(build for build in self.builds if build.jaxlib == jaxlib),
            tuple(cell for cell in self.cells if cell.jaxlib == jaxlib),
            tuple(row for row in self.effects if row["jaxlib"] == jaxlib),
        )

    def effects_of(self, profile: str, jaxlib: str | None = None) -> tuple[Effects, ...]:
        """What is known of a profile: one row a GPU, workload and jaxlib."""
        return tuple(
            row
            for row in self.effects
            if row["profile"] == profile and jaxlib in (None, row["jaxlib"])
        )
