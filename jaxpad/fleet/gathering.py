"""The folders of a fleet: which may be nodes', and what each holds."""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from jaxpad.core import child, hostlist
from jaxpad.core.results import UsageError
from jaxpad.core.text import RULE, hold, quoted, short, valid_node_name
from jaxpad.fleet.digest import Answer, Digest, keeper, read
from jaxpad.fleet.untrusted import OURS, Refused, kind, read_plain

# The nodes that should be there: a list of them, or a file of names.


def expand(text: str) -> tuple[str, ...]:
    """`n[0-2],n7` as n0, n1, n2, n7. Raises UsageError for no list, and no name of a node."""
    return hold(hostlist.expand(text))


def expected(text: str) -> tuple[str, ...]:
    """The nodes that `text` names: the names in a file, or a list such as n[0-3],n7.

    A file has names or such lists, apart by commas or white space; the rest of a line
    after # is a remark. Raises UsageError for what is neither.
    """
    return expand(_read(text) if os.path.lexists(text) else text)


def _read(file: str) -> str:
    try:
        lines = read_plain(file).decode("utf-8").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"--expect {file} cannot be read ({why}); give a file of names") from None
    return "\n".join(line.partition("#")[0] for line in lines)


# Reports read by all cores: a worker sends back digests, and what ends it is found out.
#
# A worker is `python -m jaxpad.fleet`, and not one of multiprocessing's: those run the caller's
# own script again, and cannot if it came from stdin.

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
            environ=child.importable(os.environ),
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
        self._stack, self._ended = ExitStack(), False
        for _ in range(count):
            self._idle.put(self._start())

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """The workers first, as after Ctrl-C: each of our threads waits for one."""
        self._ended = True
        self._stack.close()
        self._threads.shutdown(cancel_futures=True)

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
        except (EOFError, OSError, ValueError):  # it was killed, as for want of memory
            if self._ended:
                return []
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
        except (EOFError, OSError, ValueError):
            return Refused("it ended the process that read it")
        finally:
            worker.close()


OWN = "fleet.json"  # a folder with this alone is where a fleet was written


@dataclass
class Gathered:
    """What a folder of reports holds."""

    digests: list[Digest] = field(default_factory=list)
    set_aside: dict[str, Refused] = field(default_factory=dict)  # by the folder's name
    empty: list[str] = field(default_factory=list)  # folders without a smoke.json


def gather(root: Path) -> Gathered:
    """Every report below `root`. Raises UsageError for a folder that cannot be read."""
    entries = dict(_entries(root))
    found = Gathered(set_aside={name: why for name, why in entries.items() if why})
    same = keeper()
    names = sorted(entries.keys() - found.set_aside.keys())
    for name, answer in answers(str(root), names):
        if isinstance(answer, Digest):
            found.digests.append(answer.shared(same))
        elif answer is not None:
            found.set_aside[name] = answer
        elif not os.path.lexists(root / name / OWN):
            found.empty.append(name)
    _set_copies_aside(found)
    return found


def require(root: Path) -> None:
    """Raises UsageError, as `gather` does, for a folder that cannot be read."""
    next(_entries(root), None)


def _entries(root: Path) -> Iterator[tuple[str, Refused | None]]:
    """The names in the folder, each with the reason why it cannot be a node's, if any.

    Plain files are passed over, and so is what is hidden: neither is a node's.
    """
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and not entry.is_file(follow_symlinks=False):
                    yield entry.name, _refused(entry)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"--reports {quoted(str(root))}: {why}; give the folder that holds one folder a node"
        ) from None


def _refused(entry: os.DirEntry[str]) -> Refused | None:
    if not valid_node_name(entry.name):
        return Refused(f"a node's name is {RULE}", "rename the folder, or remove it")
    mode = entry.stat(follow_symlinks=False).st_mode
    return None if stat.S_ISDIR(mode) else Refused(f"it is {kind(mode)}, not a folder", OURS)


def _set_copies_aside(found: Gathered) -> None:
    """A report may lie in two folders, of which at most one is its node's."""
    copies: dict[str, str] = {}
    for one, why in _copies(found.digests):
        copies.setdefault(one.name, why)
    found.digests = [one for one in found.digests if one.name not in copies]
    found.set_aside |= {name: Refused(why) for name, why in copies.items()}


def _copies(digests: list[Digest]) -> Iterator[tuple[Digest, str]]:
    marks: dict[bytes, list[Digest]] = {}
    cases: dict[str, list[Digest]] = {}
    for one in digests:
        marks.setdefault(one.mark, []).append(one)
        cases.setdefault(one.name.casefold(), []).append(one)
    yield from (pair for same in marks.values() if same[1:] for pair in _same_bytes(same))
    folders = {short(one.name) for one in digests}
    for one in digests:
        if len(cases[one.name.casefold()]) > 1:
            yield one, "another folder's name differs from this one's in case alone"
        elif not _own(one) and short(one.node) in folders:
            yield one, f"it is a report of {quoted(one.node)}, which has a folder of its own"


def _own(one: Digest) -> bool:
    """Whether a report calls its node what its folder is called."""
    return short(one.node) == short(one.name)


def _same_bytes(same: list[Digest]) -> Iterator[tuple[Digest, str]]:
    """All but the one that names its folder, if just one does."""
    owners = [one for one in same if _own(one)]
    kept = owners[0] if len(owners) == 1 else None
    for one in same:
        if one is not kept:
            other = kept or next(each for each in same if each is not one)
            yield one, f"the same report, byte for byte, lies in {quoted(other.name)}"
