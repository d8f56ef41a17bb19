"""Reports read by all cores: a worker sends back digests, and what breaks it is found out."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from multiprocessing import get_context

from jaxpad.fleet._digest import Digest, Same, digest, keeper
from jaxpad.fleet._open import smoke_of
from jaxpad.fleet._parse import parse
from jaxpad.fleet._refused import Refused

CHUNK = 100  # reports that a worker reads before it answers
FEW = 200  # are read sooner than a worker is started

Answer = Digest | Refused | None  # None: there is no report


def answers(root: str, names: Sequence[str]) -> Iterator[tuple[str, Answer]]:
    """Each name with what its folder holds, in order."""
    if len(names) <= FEW:
        yield from zip(names, read(root, names), strict=True)
    else:
        chunks = (names[at : at + CHUNK] for at in range(0, len(names), CHUNK))
        yield from _by_workers(root, deque(chunks))


def _by_workers(root: str, chunks: deque[Sequence[str]]) -> Iterator[tuple[str, Answer]]:
    while chunks:
        try:
            with _pool(os.cpu_count() or 1) as pool:
                for found in pool.map(reader, repeat(root), tuple(chunks)):
                    yield from zip(chunks.popleft(), found, strict=True)
        except BrokenProcessPool:
            # A worker was killed, as for want of memory: the next reports one by one.
            chunk = chunks.popleft()
            yield from ((name, _alone(root, name)) for name in chunk)


def _pool(workers: int) -> ProcessPoolExecutor:
    # Not forked: the caller may have threads. No collector: a report holds no circles.
    return ProcessPoolExecutor(workers, get_context("spawn"), initializer=gc.disable)


def _alone(root: str, name: str) -> Answer:
    with _pool(1) as pool:
        try:
            return pool.submit(reader, root, [name]).result()[0]
        except BrokenProcessPool:
            return Refused("it ended the process that read it")


def read(root: str, names: Sequence[str]) -> list[Answer]:
    """What each folder holds. Raises nothing for a bad report."""
    same = keeper()
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [_one(folder, name, same) for name in names]
    finally:
        os.close(folder)


def _one(folder: int, name: str, same: Same) -> Answer:
    try:
        data = smoke_of(name, folder)
        return digest(name, parse(data), data, same)
    except FileNotFoundError:
        return None
    except Refused as refused:
        return refused
    except Exception as error:  # whatever one report does, the others are merged
        return Refused(f"reading it raised {type(error).__name__}")


reader = read  # what workers run: a test has one that is killed
