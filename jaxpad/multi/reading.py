"""Read what the processes wrote; what cannot be trusted is set aside and named."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad.core import files
from jaxpad.core.results import UsageError
from jaxpad.multi import record as multi_record
from jaxpad.multi.record import ENDS, SCHEMA_VERSION, STAGES, Record

MARK = "jaxpad-multi:"  # before the record, in a line of a log
MOST_BYTES = 4 << 20  # of a file; one of 10,000 nodes with every pair is under 1 MiB
_FILE = re.compile(r"rank-(\d{1,7})\.json")
# A host name by RFC 1123, which Slurm's and Kubernetes's node names are.
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
NODE = re.compile(rf"(?=.{{1,253}}\Z){_PART}(?:\.{_PART})*")


@dataclass(frozen=True)
class Aside:
    """A file or log that was not trusted, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Gathered:
    """What was read, in the order of ranks."""

    records: tuple[Record, ...] = ()
    aside: tuple[Aside, ...] = ()


def read(folder: Path) -> Gathered:
    """The records in `folder`. A folder that is not there holds none."""
    try:
        found = sorted(entry.name for entry in os.scandir(folder))
    except OSError as error:
        return Gathered(aside=(Aside(str(folder), error.strerror or str(error)),))
    names = [name for name in found if _FILE.fullmatch(name)]
    return _gathered((name, _from_file(folder / name)) for name in names)


def read_logs(logs: Mapping[str, str]) -> Gathered:
    """The last record in each log of a process, by the log's name (a pod's)."""
    return _gathered((name, _from_log(log)) for name, log in logs.items() if MARK in log)


def _gathered(found: Iterable[tuple[str, Record | str]]) -> Gathered:
    records: dict[int, Record] = {}
    aside = []
    for name, one in found:
        if isinstance(one, str):
            aside.append(Aside(multi_record.printable(name), one))
        elif one.rank in records:
            aside.append(Aside(multi_record.printable(name), f"rank {one.rank} has already spoken"))
        else:
            records[one.rank] = one
    return Gathered(tuple(records[rank] for rank in sorted(records)), tuple(aside))


def _from_file(path: Path) -> Record | str:
    """The record, or why there is none. Never follows a link or waits for a pipe."""
    try:
        data = files.read_plain(path, MOST_BYTES)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    record = _record(data.decode(errors="replace"))
    if isinstance(record, Record) and path.name != f"rank-{record.rank}.json":
        return f"it says it is of rank {record.rank}"
    return record


def _from_log(log: str) -> Record | str:
    line = log[log.rindex(MARK) + len(MARK) :].partition("\n")[0]
    return _record(line) if len(line) <= MOST_BYTES else "its line is too long"


def _record(text: str) -> Record | str:
    try:
        record = multi_record.load_plain(Record, text, SCHEMA_VERSION)
    except multi_record.WireError as error:
        return multi_record.printable(str(error))
    return _sense(record) or record


def _sense(record: Record) -> str:
    """What makes a well-formed record one that no process of ours wrote; empty: nothing."""
    if not NODE.fullmatch(record.node) or not all(map(NODE.fullmatch, record.nodes)):
        return "a node's name in it is none"
    if not 0 <= record.rank < record.processes:
        return f"rank {record.rank} of {record.processes} cannot be"
    if record.stage.name not in STAGES or (record.end and record.end.how not in ENDS):
        return "its stage or end is none of ours"
    return ""


# Write rank-<i>.json: whole or not at all, so that a reader never sees half of one.


def text(record: Record) -> str:
    """The record as `read` takes it."""
    return multi_record.dump(record, schema=SCHEMA_VERSION)


def folder(path: Path) -> Path:
    """`path` made. Raises UsageError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path} cannot be made: {error.strerror}") from None
    return path


def keep(path: Path, record: Record) -> None:
    """Write the record's file into the folder `path`. Raises OSError."""
    files.write_whole(path / f"rank-{record.rank}.json", text(record))
