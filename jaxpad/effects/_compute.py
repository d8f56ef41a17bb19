"""Outcomes of many cells: from disk where they are kept, else compiled."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxpad.effects import _cache
from jaxpad.effects._model import Cell, Outcome, Task

LIMIT, WORKERS = 120.0, 2  # seconds for one compile; processes at once


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Watcher:
    """Told how many cells are kept and how many are to be compiled, then of each compile."""

    begun: Callable[[int, int], None] = _ignore
    finished: Callable[[], None] = _ignore


@dataclass(frozen=True)
class Effort:
    """How to compile: the seconds that one compile may take, processes at once."""

    limit: float = LIMIT
    workers: int = WORKERS


def compute(
    cells: Iterable[Cell],
    effort: Effort,
    watcher: Watcher,
    hold: Callable[[Cell, Outcome], None] = _ignore,
) -> dict[Cell, Outcome]:
    """The outcome of each cell.

    Each is kept as soon as it is there, so that a run that is cut short loses nothing. Where
    all are kept neither JAX nor a worker is started. `hold` is given each outcome as it
    comes; what it raises ends the run.

    Raises UsageError where a GPU or a workload is at fault.
    """
    keys = {cell: _cache.cell(cell) for cell in _ordered(cells)}
    kept = {cell: _cache.outcome(key) for cell, key in keys.items()}
    found = {cell: outcome for cell, outcome in kept.items() if outcome}
    for cell, outcome in found.items():
        hold(cell, outcome)
    shared = _shared([cell for cell in keys if cell not in found])
    watcher.begun(len(found), len(shared))
    with contextlib.closing(_compiled(shared, effort, watcher)) as coming:
        for cell, outcome in coming:
            found[cell] = outcome
            _cache.keep(keys[cell], outcome)
            hold(cell, outcome)
    return found


def fresh(cell: Cell, limit: float = LIMIT) -> Outcome:
    """The outcome by XLA_FLAGS in a process of its own; looks at nothing kept and keeps nothing.

    Raises UsageError where the GPU or the workload is at fault.
    """
    from jaxpad.effects import _pool

    ((_, outcome),) = _pool.outcomes((Task(cell, None),), limit, 1)
    return outcome


def _ordered(cells: Iterable[Cell]) -> list[Cell]:
    """Those of one GPU and workload together, since a worker traces a workload once."""
    return sorted(
        set(cells), key=lambda cell: (cell.workload, cell.gpu, len(cell.words), cell.words)
    )


def _compiled(
    shared: Mapping[Task, list[Cell]], effort: Effort, watcher: Watcher
) -> Generator[tuple[Cell, Outcome], None, None]:
    """To be closed, which ends the workers at once."""
    if not shared:
        return
    from jaxpad.effects import _pool  # here: what a run that compiles nothing does without

    with contextlib.closing(_pool.outcomes(tuple(shared), effort.limit, effort.workers)) as coming:
        for task, outcome in coming:
            yield from ((cell, outcome) for cell in shared[task])
            watcher.finished()


def _shared(cells: Sequence[Cell]) -> dict[Task, list[Cell]]:
    """What to compile, and the cells that each compile answers for."""
    if not cells:
        return {}
    from jaxpad.effects import _options  # here for the same reason

    read = _options.read({cell.words for cell in cells})
    first: dict[tuple[str, str, bytes], Task] = {}
    shared: dict[Task, list[Cell]] = {}
    for cell in cells:
        options, reading = read[cell.words]
        one = Task(cell, options)
        if reading:
            one = first.setdefault((cell.gpu, cell.workload, reading), one)
        shared.setdefault(one, []).append(cell)
    return shared
