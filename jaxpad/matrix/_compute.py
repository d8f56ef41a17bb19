"""Compute the installed jaxlib's part of the matrix."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping

from jaxpad import effects, flags, host
from jaxpad.matrix._model import Build, CellRow, Matrix
from jaxpad.matrix._plan import questions


def compute(
    names: Iterable[str],
    effort: effects.Effort | None = None,
    watcher: effects.Watcher | None = None,
) -> Matrix:
    """The matrix of these profiles with the installed jaxlib.

    Raises UsageError as `effects.explain_all` does, NoProgramError where a workload does not
    compile without flags.
    """
    version = flags.jaxlib_version()
    answers = effects.explain_all(questions(names), effort, watcher)
    cells = tuple(CellRow.of(version, *pair) for pair in answers.outcomes.items())
    build = Build(
        jaxlib=version,
        releases=effects.releases(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=_machine(),
        cells=len(cells),
        programs=len({(one.gpu, one.workload, one.digest) for one in cells if one.digest}),
        seconds=_seconds(answers.outcomes),
    )
    rows = tuple(one.to_json() for one in answers.explanations)
    return Matrix((build,), cells, rows)


def _seconds(found: Mapping[effects.Cell, effects.Outcome]) -> int:
    """All compiles added up; cells that XLA reads alike were compiled once, to one program."""
    programs = {
        (cell.gpu, cell.workload, CellRow.of("", cell, one).digest, one.program.seconds)
        for cell, one in found.items()
        if one.program
    }
    return round(sum(seconds or 0 for *_, seconds in programs))


def _machine() -> str:
    facts = host.summary()
    return f"{facts['cpus']} CPU cores, {facts['memory']}, {facts['system']}"
