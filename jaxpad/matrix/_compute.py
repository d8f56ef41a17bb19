"""Compute the installed jaxlib's part of the matrix."""

from __future__ import annotations

import datetime
import resource
import time
from collections.abc import Iterable

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
    version, begun = flags.jaxlib_version(), time.monotonic()
    effort = effort or effects.Effort()
    answers = effects.explain_all(questions(names), effort, watcher)
    cells = tuple(CellRow.of(version, *pair) for pair in answers.outcomes.items())
    build = Build(
        jaxlib=version,
        releases=effects.releases(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=_machine(),
        cells=len(cells),
        programs=len({(one.gpu, one.workload, one.digest) for one in cells if one.digest}),
        seconds=round(time.monotonic() - begun),
        memory=_memory(effort.workers),
    )
    rows = tuple(one.to_json() for one in answers.explanations)
    return Matrix((build,), cells, rows)


def _memory(workers: int) -> int:
    """MiB; Linux counts the resident set in KiB."""
    own, child = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round((own + workers * child) / 1024)


def _machine() -> str:
    facts = host.summary()
    return f"{facts['cpus']} CPU cores, {facts['memory']}, {facts['system']}"
