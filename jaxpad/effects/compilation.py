"""Outcomes of many cells: from disk where they are kept, else compiled."""

from __future__ import annotations

import contextlib
import functools as ft
import hashlib
import json
import queue
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import gpus, workloads
from jaxpad.core import files, paths
from jaxpad.core.codec import loads, revive, to_plain
from jaxpad.core.results import UsageError
from jaxpad.effects import model
from jaxpad.effects.model import Cell, Outcome, Task, Words, wants_device
from jaxpad.effects.processes import Child, DiedError
from jaxpad.machine import devices

# Several workers at once: each cell goes to the next that is free.

_Done = tuple[Task, Outcome | BaseException]


def compiled_outcomes(
    tasks: Sequence[Task], limit: float, workers: int
) -> Generator[tuple[Task, Outcome], None, None]:
    """Compile every task, each once, and yield it when it is done.

    A compile that dies, or takes longer than `limit` seconds, costs that cell and the worker,
    which is replaced. All workers are ended when the iteration is, however that comes.

    Raises UsageError where a GPU or a workload is at fault.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    hands = [_Hand(waiting, done, limit) for _ in range(min(workers, len(tasks)))]
    try:
        for hand in hands:
            hand.start()
        for _ in tasks:
            task, found = done.get()
            if isinstance(found, BaseException):
                raise found
            yield task, found
    finally:
        for hand in hands:
            hand.stop()
        for hand in hands:
            hand.join()


class _Hand(threading.Thread):
    """A thread that keeps one worker busy."""

    def __init__(
        self,
        waiting: queue.SimpleQueue[Task],
        done: queue.SimpleQueue[_Done],
        limit: float,
    ) -> None:
        super().__init__(daemon=True)
        self._waiting, self._done, self._limit = waiting, done, limit
        self._children: dict[Words, Child] = {}
        self._lock, self._stopped = threading.Lock(), False

    def run(self) -> None:
        """Take tasks until there is none left, or `stop` was called."""
        try:
            while not self._stopped:
                task = self._waiting.get_nowait()
                try:
                    self._done.put((task, self._outcome(task)))
                except Exception as error:
                    self._done.put((task, error))
        except queue.Empty:
            pass
        finally:
            for words in tuple(self._children):
                self._end(words)

    def stop(self) -> None:
        """End the worker; from any thread."""
        with self._lock:
            self._stopped = True
            for child in self._children.values():
                child.kill()

    def _outcome(self, task: Task) -> Outcome:
        words = task.cell.words
        if task.options is not None:
            answer = self._ask((), task.cell, task.options)
            if isinstance(answer, Outcome) or not words or not _by_options(answer):
                return _read(answer)
        answer = self._ask(words, task.cell, {})
        if words:
            self._end(words)
        return _read(answer)

    def _ask(self, words: Words, cell: Cell, options: Any) -> dict[str, Any] | Outcome:
        """The answer of the worker with these XLA_FLAGS; an outcome where it died."""
        request = {"gpu": cell.gpu, "workload": cell.workload, "options": dict(options)}
        try:
            return self._child(words).ask(request, self._limit)
        except DiedError as error:
            self._end(words)
            return Outcome(message=str(error), lasting=error.lasting)

    def _child(self, words: Words) -> Child:
        with self._lock:
            if self._stopped:
                raise DiedError("the run was ended", lasting=False)
            return self._children.setdefault(words, self._children.get(words) or Child(words))

    def _end(self, words: Words) -> None:
        with self._lock:
            child = self._children.pop(words, None)
        if child:
            child.close()


def _by_options(answer: dict[str, Any]) -> bool:
    """Whether it may be the options that broke the compile, and XLA_FLAGS would not."""
    return "broken" in answer and not wants_device(_first_line(answer["broken"]))


def _read(answer: dict[str, Any] | Outcome) -> Outcome:
    if isinstance(answer, Outcome):
        return answer
    if "usage" in answer:
        raise UsageError(answer["usage"])
    if "program" in answer:
        return Outcome(model.program(answer["program"]))
    return Outcome(message=_first_line(answer["broken"]))


def _first_line(said: str) -> str:
    return " ".join(said.strip().splitlines()[0].split())[:500]


# Answers kept on disk, one JSON file each, under the digest of all that they hang on.

_RELEASES = (
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda12-pjrt",
    "jax-cuda13-plugin",
    "jax-cuda13-pjrt",
    "nvidia-cuda-nvcc-cu12",
    "nvidia-cuda-nvcc",
)
_SOURCES = ("aot", "effects", "flags", "gpus", "schedule")


def cell_key(one: Cell) -> str:
    """The key of one cell: releases, flags, the workload's and the description's text, ours."""
    return _key("cell", one.gpu, _gpu(one.gpu), _workload(one.workload), *one.words)


@ft.cache
def _gpu(name: str) -> str:
    return hashlib.sha256(gpus.load(name).path.read_bytes()).hexdigest()


@ft.cache
def _workload(name: str) -> str:
    return workloads.digest(workloads.load(name))


def acceptance(words: Words) -> str:
    """The key of which of these flags XLA takes."""
    return _key("acceptance", *words)


def folder() -> Path:
    """Where answers are kept."""
    return paths.user_cache() / "effects"


def get(key: str) -> Any:
    """What was kept under a key; None where nothing was, or it cannot be read.

    No entry is believed for its name: whoever uses it checks what it holds.
    """
    if not _is_ours():
        return None
    try:
        return loads(files.read_plain(folder() / f"{key}.json").decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def put(key: str, value: Any) -> None:
    """Keep an answer. Written whole or not at all; a folder that takes no files is no error."""
    if not _is_ours():
        return
    try:
        files.write_whole(folder() / f"{key}.json", json.dumps(value))
    except OSError:
        return


def _is_ours() -> bool:
    """Whether the folder can be used and trusted; why not is said once."""
    try:
        paths.make_cache(folder())
    except files.NotOurs as error:
        _warn(f"nothing is kept or taken from {folder()}: {error.strerror}")
        return False
    except OSError:
        return False
    return True


@ft.cache
def _warn(words: str) -> None:
    sys.stderr.write(f"jaxpad: {words}\n")


def stored(key: str) -> Outcome | None:
    """The outcome kept under a key, None where there is none to be had."""
    kept = get(key)
    try:
        if "program" in kept:
            found = model.program(kept["program"])
            return Outcome(revive(type(found), to_plain(found), "program"))
        return Outcome(message=revive(str, kept["message"], "message"))
    except (LookupError, TypeError, AttributeError, ValueError):  # not what `store` wrote
        return None


def store(key: str, found: Outcome) -> None:
    """Keep an outcome, if another run would come to the same."""
    if found.program:
        put(key, {"program": found.program.to_json()})
    elif found.lasting:
        put(key, {"message": found.message})


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps([_build(), *parts]).encode()).hexdigest()


@ft.cache
def _build() -> list[str]:
    """The releases that are installed, and the digest of our own source."""
    return [*(f"{name} {version}" for name, version in releases().items()), _source()]


def releases() -> dict[str, str]:
    """The version of each package that a compiled program depends on and that is installed."""
    return devices.installed(_RELEASES)


def _source() -> str:
    top = Path(__file__).parents[1]
    files = sorted(file for name in _SOURCES for file in (top / name).rglob("*.py"))
    texts = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("".join(texts).encode()).hexdigest()


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
    keys = {cell: cell_key(cell) for cell in _ordered(cells)}
    kept = {cell: stored(key) for cell, key in keys.items()}
    found = {cell: outcome for cell, outcome in kept.items() if outcome}
    for cell, outcome in found.items():
        hold(cell, outcome)
    shared = _shared([cell for cell in keys if cell not in found])
    watcher.begun(len(found), len(shared))
    with contextlib.closing(_compiled(shared, effort, watcher)) as coming:
        for cell, outcome in coming:
            found[cell] = outcome
            store(keys[cell], outcome)
            hold(cell, outcome)
    return found


def fresh(cell: Cell, limit: float = LIMIT) -> Outcome:
    """The outcome by XLA_FLAGS in a process of its own; looks at nothing kept and keeps nothing.

    Raises UsageError where the GPU or the workload is at fault.
    """
    ((_, outcome),) = compiled_outcomes((Task(cell, None),), limit, 1)
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

    with contextlib.closing(
        compiled_outcomes(tuple(shared), effort.limit, effort.workers)
    ) as coming:
        for task, outcome in coming:
            yield from ((cell, outcome) for cell in shared[task])
            watcher.finished()


def _shared(cells: Sequence[Cell]) -> dict[Task, list[Cell]]:
    """What to compile, and the cells that each compile answers for."""
    if not cells:
        return {}
    from jaxpad.effects import processes  # here for the same reason

    read = processes.read({cell.words for cell in cells})
    first: dict[tuple[str, str, bytes], Task] = {}
    shared: dict[Task, list[Cell]] = {}
    for cell in cells:
        options, reading = read[cell.words]
        one = Task(cell, options)
        if reading:
            one = first.setdefault((cell.gpu, cell.workload, reading), one)
        shared.setdefault(one, []).append(cell)
    return shared
