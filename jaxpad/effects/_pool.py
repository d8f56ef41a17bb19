"""Several workers at once: each cell goes to the next that is free."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Sequence
from typing import Any

from jaxpad.effects import _wire
from jaxpad.effects._child import Child, DiedError
from jaxpad.effects._judge import wants_device
from jaxpad.effects._model import Cell, Outcome, Task, Words
from jaxpad.errors import UsageError

_Done = tuple[Task, Outcome | BaseException]


def outcomes(
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
        return Outcome(_wire.program(answer["program"]))
    return Outcome(message=_first_line(answer["broken"]))


def _first_line(said: str) -> str:
    return " ".join(said.strip().splitlines()[0].split())[:500]
