"""Outcomes of many cells: from disk where they are kept, else compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxpad.effects import _cache
from jaxpad.effects._model import Cell, Outcome, Task

LIMIT, WORKERS = 120.0, 2  # seconds for one compile; processes at once


def _ignore(*_: int) -> None:
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


def compute(cells: Iterable[Cell], effort: Effort, watcher: Watcher) -> dict[Cell, Outcome]:
    """The outcome of each cell.

    Each is kept as soon as it is there, so that a run that is cut short loses nothing. Where
    all are kept neither JAX nor a worker is started.

    Raises UsageError where a GPU or a workload is at fault.
    """
    keys = {cell: _cache.cell(cell) for cell in _ordered(cells)}
    kept = {cell: _cache.outcome(key) for cell, key in keys.items()}
    found = {cell: outcome for cell, outcome in kept.items() if outcome}
    shared = _shared([cell for cell in keys if cell not in found])
    watcher.begun(len(found), len(shared))
    _compile(shared, keys, found, effort, watcher)
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


def _compile(
    shared: Mapping[Task, list[Cell]],
    keys: Mapping[Cell, str],
    found: dict[Cell, Outcome],
    effort: Effort,
    watcher: Watcher,
) -> None:
    if not shared:
        return
    from jaxpad.effects import _pool  # here: what a run that compiles nothing does without

    for task, outcome in _pool.outcomes(tuple(shared), effort.limit, effort.workers):
        for cell in shared[task]:
            found[cell] = outcome
            _cache.keep(keys[cell], outcome)
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
