"""Reports read by all cores: a worker sends back digests, and what ends it is found out.

A worker is `python -m jaxpad.fleet`, and not one of multiprocessing's: those run the caller's
own script again, and cannot if it came from stdin.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

from jaxpad import paths
from jaxpad.core import child
from jaxpad.fleet._read import Answer, read
from jaxpad.fleet._refused import Refused

CHUNK = 100  # reports that a worker reads before it answers
FEW = 200  # are read sooner than a worker is started
MODULE = "jaxpad.fleet"


def answers(root: str, names: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    """Each name with what its folder holds, in order."""
    if len(names) <= FEW:
        yield from zip(names, read(root, names), strict=True)
        return
    chunks = [names[at : at + CHUNK] for at in range(0, len(names), CHUNK)]
    with Workers(root, min(len(chunks), len(os.sched_getaffinity(0)))) as workers:
        for chunk, found in zip(chunks, workers.map(chunks), strict=True):
            yield from zip(chunk, found, strict=True)


class Worker:
    """A process that reads the reports of one folder."""

    def __init__(self, root: str) -> None:
        self._child = child.start(
            child.python("-m", MODULE, root),
            environ=paths.importable(os.environ),
            stdin=child.PIPE,
            stdout=child.PIPE,
        )

    def read(self, names: Sequence[str]) -> list[Answer]:
        """As `read`. Raises EOFError or OSError if the process has ended."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        pickle.dump(list(names), self._child.stdin)
        self._child.stdin.flush()
        found: list[Answer] = pickle.load(self._child.stdout)  # noqa: S301 - of our own process
        return found

    def close(self) -> None:
        self._child.close()


class Workers:
    """As many as there are cores; a `with` block ends them all."""

    def __init__(self, root: str, count: int) -> None:
        self._root = root
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        self._threads = ThreadPoolExecutor(count)  # each waits for one worker
        self._stack = ExitStack()
        for _ in range(count):
            self._idle.put(self._start())

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._stack.close()

    def map(self, chunks: Sequence[Sequence[str]]) -> Iterator[list[Answer]]:
        return self._threads.map(self._chunk, chunks)

    def _start(self) -> Worker:
        worker = Worker(self._root)
        self._stack.callback(worker.close)
        return worker

    def _chunk(self, names: Sequence[str]) -> list[Answer]:
        worker = self._idle.get()
        try:
            return worker.read(names)
        except (EOFError, OSError):  # it was killed, as for want of memory
            worker.close()
            worker = self._start()
            return [self._alone(name) for name in names]
        finally:
            self._idle.put(worker)

    def _alone(self, name: str) -> Answer:
        """A report that may be the one that ends its reader, by a process of its own."""
        worker = Worker(self._root)
        try:
            return worker.read([name])[0]
        except (EOFError, OSError):
            return Refused("it ended the process that read it")
        finally:
            worker.close()
