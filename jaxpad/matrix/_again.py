"""Compute part of the matrix again and hold it to what is kept."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
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


@dataclass(frozen=True)
class Draw:
    """What is compiled again: how many questions of the shipped profiles, and of other cells.

    `questions` None stands for all. The same seed draws the same.
    """

    sample: int
    seed: int
    questions: int | None = None


def again(
    kept: Matrix,
    draw: Draw,
    effort: effects.Effort | None = None,
    watcher: effects.Watcher | None = None,
) -> tuple[Difference, ...]:
    """Compile the shipped profiles' own cells and some others with the installed jaxlib.

    Raises UsageError where the matrix has nothing of this jaxlib.
    """
    version = flags.jaxlib_version()
    part = kept.part(version)
    if not part.builds:
        raise UsageError(
            f"the matrix has no part of jaxlib {version}; compute it with `invoke profile.matrix`"
        )
    every = questions(shipped())
    asked = drawn(every, draw)
    more = _others(part, effects.cells(every), draw)
    answers = effects.explain_all(asked, effort, watcher, more=more)
    rows = (CellRow.of(version, *pair) for pair in answers.outcomes.items())
    told = [one.to_json() for one in answers.explanations]
    whole = len(asked) == len(every)
    return (*_cells(part, rows), *_effects(part, told, whole=whole))


def drawn(every: Sequence[effects.Question], draw: Draw) -> list[effects.Question]:
    """The questions that a draw asks: all, or so many.

    Each question brings in a workload, GPU or profile that no earlier one has, where there is
    one, so that a few cover all of them.
    """
    left = list(every)
    if draw.questions is None or draw.questions >= len(left):
        return left
    random.Random(draw.seed).shuffle(left)  # noqa: S311 - no secret
    taken: list[effects.Question] = []
    seen: set[tuple[str, ...]] = set()
    for _ in range(draw.questions):
        best = min(left, key=lambda one: [trait in seen for trait in _traits(one)])
        left.remove(best)
        taken.append(best)
        seen.update(_traits(best))
    return taken


def _traits(one: effects.Question) -> list[tuple[str, ...]]:
    """What it is of, the most telling first."""
    workload, gpu = one.workload.name, one.gpu.name
    return [("workload", workload), ("gpu", gpu), ("profile", one.profile.name)]


def _others(part: Matrix, own: Collection[effects.Cell], draw: Draw) -> Sequence[effects.Cell]:
    rest = sorted(
        (row.cell for row in part.cells if row.cell not in own),
        key=lambda cell: (cell.gpu, cell.workload, cell.words),
    )
    return random.Random(draw.seed).sample(  # noqa: S311 - no secret
        rest, min(draw.sample, len(rest))
    )


def _cells(part: Matrix, rows: Iterator[CellRow]) -> Iterator[Difference]:
    kept = {row.cell: row for row in part.cells}
    for row in rows:
        before = kept.get(row.cell)
        if before != row:
            where = f"{row.workload} on {row.gpu} with {row.flags or 'no flags'}"
            yield Difference(where, _said(before), _said(row))


def _said(row: CellRow | None) -> str:
    return "nothing" if row is None else row.message or f"program {row.digest}"


def _effects(
    part: Matrix, told: list[dict[str, Any]], *, whole: bool = True
) -> Iterator[Difference]:
    kept = {_place(row): dict(row) for row in part.effects}
    for row in told:
        before = kept.pop(_place(row), None)
        if before != row:
            yield Difference(_place(row), "other effects" if before else "nothing", str(row))
    for place, row in kept.items():
        if whole and row["profile"] in shipped():
            yield Difference(place, "effects", "no such question")


def _place(row: Mapping[str, object]) -> str:
    return f"profile {row['profile']}, {row['workload']} on {row['gpu']}"
