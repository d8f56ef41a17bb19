"""Outcomes of many cells: from disk where they are kept, else compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxpad.effects import _cache, _options, _pool
from jaxpad.effects._model import Outcome, Place, Task, Words


def _ignore(*_: int) -> None:
    pass


@dataclass(frozen=True)
class Watcher:
    """Told how many cells are kept and how many are to be compiled, then of each compile."""

    begun: Callable[[int, int], None] = _ignore
    finished: Callable[[], None] = _ignore


def compute(
    keys: Mapping[Words, str], place: Place, limit: float, workers: int, watcher: Watcher
) -> dict[Words, Outcome]:
    """The outcome of each flag set, whose key says where it is kept.

    Each is kept as soon as it is there, so that a run that is cut short loses nothing. Where
    all are kept neither JAX nor a worker is started.

    Raises UsageError where the GPU or the workload is at fault.
    """
    kept = {words: _cache.outcome(key) for words, key in keys.items()}
    found = {words: outcome for words, outcome in kept.items() if outcome}
    shared = _shared(tuple(words for words in keys if words not in found))
    watcher.begun(len(found), len(shared))
    tasks = tuple(shared)
    for task, outcome in _pool.outcomes(tasks, place, limit=limit, workers=workers):
        for words in shared[task]:
            found[words] = outcome
            _cache.keep(keys[words], outcome)
        watcher.finished()
    return found


def _shared(sets: tuple[Words, ...]) -> dict[Task, list[Words]]:
    """What to compile, and the flag sets that each compile answers for."""
    first: dict[bytes, Task] = {}
    shared: dict[Task, list[Words]] = {}
    for task, reading in _options.tasks(sets) if sets else ():
        one = first.setdefault(reading, task) if reading else task
        shared.setdefault(one, []).append(task.words)
    return shared
