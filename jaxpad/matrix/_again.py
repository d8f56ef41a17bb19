"""Compute part of the matrix again and hold it to what is kept."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad import effects, flags
from jaxpad.errors import UsageError
from jaxpad.matrix._model import CellRow, Matrix
from jaxpad.matrix._plan import questions, shipped


@dataclass(frozen=True)
class Difference:
    """Where the matrix and the compiler part: a place, what is kept, what was found."""

    where: str
    kept: str
    found: str


def again(
    kept: Matrix,
    sample: int,
    seed: int,
    effort: effects.Effort | None = None,
    watcher: effects.Watcher | None = None,
) -> tuple[Difference, ...]:
    """Compile the shipped profiles' own cells and `sample` others with the installed jaxlib.

    Raises UsageError where the matrix has nothing of this jaxlib.
    """
    version = flags.jaxlib_version()
    part = kept.part(version)
    if not part.builds:
        raise UsageError(
            f"the matrix has no part of jaxlib {version}; compute it with `invoke profile.matrix`"
        )
    asked = questions(shipped())
    own = effects.cells(asked)
    rest = sorted(
        (row.cell for row in part.cells if row.cell not in own),
        key=lambda cell: (cell.gpu, cell.workload, cell.words),
    )
    more = random.Random(seed).sample(rest, min(sample, len(rest)))  # noqa: S311 - no secret
    answers = effects.explain_all(asked, effort, watcher, more=more)
    rows = (CellRow.of(version, *pair) for pair in answers.outcomes.items())
    told = [one.to_json() for one in answers.explanations]
    return (*_cells(part, rows), *_effects(part, told))


def _cells(part: Matrix, rows: Iterator[CellRow]) -> Iterator[Difference]:
    kept = {row.cell: row for row in part.cells}
    for row in rows:
        before = kept.get(row.cell)
        if before != row:
            where = f"{row.workload} on {row.gpu} with {row.flags or 'no flags'}"
            yield Difference(where, _said(before), _said(row))


def _said(row: CellRow | None) -> str:
    return "nothing" if row is None else row.message or f"program {row.digest}"


def _effects(part: Matrix, told: list[dict[str, Any]]) -> Iterator[Difference]:
    kept = {_place(row): dict(row) for row in part.effects}
    for row in told:
        before = kept.pop(_place(row), None)
        if before != row:
            yield Difference(_place(row), "other effects" if before else "nothing", str(row))
    for place, row in kept.items():
        if row["profile"] in shipped():
            yield Difference(place, "effects", "no such question")


def _place(row: Mapping[str, object]) -> str:
    return f"profile {row['profile']}, {row['workload']} on {row['gpu']}"
