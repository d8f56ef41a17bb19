"""What one process says of itself: the content of rank-<i>.json, written and read.

Times are seconds since 1970 by the clock of the process's own node.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from jaxpad.core import files
from jaxpad.core.codec import Limits, Misfit, NoNumber, loads, revive, to_plain
from jaxpad.core.results import UsageError, Verdict, overall
from jaxpad.core.text import printable as printable

SCHEMA_VERSION = 1
STAGES = ("start", "join", "devices", "compare", "clock", "correct", "speed", "pairs", "leave")
# Questions about all processes at once: a failure is not the fault of whoever reports it.
SHARED = (
    "processes",
    "devices",
    "device kind",
    "versions",
    "profile",
    "XLA flags",
    "clock",
    "start",
    "in step",
    "bandwidth",
    "pairs",
)
ENDS = ("finished", "raised", "died", "stopped", "cancelled")


@dataclass(frozen=True)
class Stage:
    """Where a process is. Steps are numbered alike on every process of a run."""

    name: str = "start"
    detail: str = ""
    step: int = 0
    since: float = 0.0
    together: bool = False  # it needs its peers: whoever waits here waits for them


@dataclass(frozen=True)
class Identity:
    """What has to be the same everywhere."""

    versions: dict[str, str] = field(default_factory=dict)  # by package
    profile: str | None = None
    xla_flags: str = ""


@dataclass(frozen=True)
class Check:
    """One question, as this process answers it.

    `odd` are the ranks that a failure is laid to; with `sure` False it is one of them.
    """

    name: str
    verdict: Verdict
    reason: str
    remedy: str = ""
    odd: tuple[int, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class Rate:
    """The bus bandwidth of one collective over all devices, by nccl-tests' formulas."""

    kind: str  # "all_reduce"
    bytes: int  # as nccl-tests count them
    gb_per_s: float  # median over batches of calls
    batches: int


@dataclass(frozen=True)
class Pair:
    """The bus bandwidth of an all_reduce over the devices of two nodes, by themselves."""

    nodes: tuple[str, ...]
    bytes: int
    gb_per_s: float


@dataclass(frozen=True)
class Clock:
    """How far this node's clock is ahead of rank 0's: surely between the two, in seconds."""

    least: float
    most: float


@dataclass(frozen=True)
class End:
    """How a process ended.

    finished: it came to its end; raised: a Python error; died: a signal, or an exit of
    JAX's own; stopped: past the time limit; cancelled: told to end from outside.
    """

    how: str
    why: str
    at: float
    for_a_peer: bool = False  # the words say that a peer had gone, so the fault is not here


@dataclass(frozen=True)
class Record:
    """All that one process says, so far."""

    rank: int
    processes: int
    node: str
    pid: int
    launcher: str  # "slurm", "kubernetes", ...
    began: float
    run: str = ""  # tells this run from another in the same folder
    arrived: float | None = None  # when it was ready to meet the others
    nodes: tuple[str, ...] = ()  # of the job, as the scheduler lists them; from one rank of a node
    identity: Identity = field(default_factory=Identity)
    platform: str | None = None  # where JAX computes; None: not known yet
    kind: str | None = None  # "NVIDIA H100 80GB HBM3"
    local_devices: int | None = None
    devices: int | None = None  # of all processes
    stage: Stage = field(default_factory=Stage)
    checks: tuple[Check, ...] = ()
    rates: tuple[Rate, ...] = ()
    pairs: tuple[Pair, ...] = ()  # that this node is in
    transport: tuple[str, ...] = ()  # "NET/IB", "P2P/CUMEM", ...
    clock: Clock | None = None
    end: End | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst answer; peers that keep it from its end leave it inconclusive."""
        return overall((self._ending, *(check.verdict for check in self.checks)))

    @property
    def own_verdict(self) -> Verdict:
        """The same without the questions about all processes at once."""
        own = (check.verdict for check in self.checks if check.name not in SHARED)
        return overall((self._ending, *own))

    @property
    def _ending(self) -> Verdict:
        if self.end is None or self.end.how in ("stopped", "cancelled") or self.end.for_a_peer:
            return Verdict.INCONCLUSIVE
        if self.silent:
            return Verdict.INCONCLUSIVE
        return Verdict.PASS if self.end.how == "finished" else Verdict.FAIL

    @property
    def silent(self) -> bool:
        """It came to its end, and answered no question."""
        return self.end is not None and self.end.how == "finished" and not self.checks


# Records as JSON, and back with nothing trusted: every type, size and number is checked.

T = TypeVar("T")
# XLA_FLAGS of a long profile are 2,000 characters, a list has as many entries as there are nodes,
# and beyond 2^53 a float of JSON is no exact count.
LIMITS = Limits(text=20_000, entries=20_000, number=2.0**53)


class WireError(ValueError):
    """Data that no process of ours wrote: where, and what is wrong with it."""


def dump(value: Any, **more: Any) -> str:
    """One line of JSON in ASCII, so that any log carries it."""
    return json.dumps(more | to_plain(value))


def load_plain(kind: type[T], text: str, schema: int) -> T:
    """The `kind` that `dump(…, schema=…)` wrote. Raises WireError, in one line, for all else."""
    try:
        data = loads(text)
    except RecursionError:
        raise WireError("it is nested too deeply") from None
    except NoNumber as error:
        raise WireError(str(error)) from None
    except ValueError as error:
        raise WireError(f"it is no JSON: {str(error)[:100]}") from None
    if not isinstance(data, dict) or data.get("schema") != schema:
        found = data.get("schema") if isinstance(data, dict) else None
        raise WireError(f"its schema is {found!r:.20}, expected {schema}")
    del data["schema"]
    return _revive(kind, data)


def trusted(kind: type[T], text: str) -> T:
    """The `kind` that another part of this very run wrote with `dump`."""
    return _revive(kind, json.loads(text))


def _revive(kind: type[T], data: Any) -> T:
    try:
        return revive(kind, data, "record", LIMITS)
    except Misfit as misfit:
        raise WireError(str(misfit)) from None


# What the caller of `merge` knows: how many processes there should be, and where.


@dataclass(frozen=True)
class Expected:
    """What was started. None or empty: take it from what the processes say.

    `nodes` names the node of each rank, in the order of ranks; a rank that never wrote
    anything can then be placed.
    """

    processes: int | None = None
    devices: int | None = None  # of each process
    platform: str = ""  # gpu or cpu
    nodes: tuple[str, ...] = ()
    run: str = ""  # of the records to take; others are set aside


# The words of the command line, and what they mean.


@dataclass(frozen=True)
class Wanted:
    """The same as numbers. None: whatever the scheduler says."""

    processes: int | None
    devices: int | None  # of each process
    limit_s: float
    join_s: float


# What a test does to a process. Nothing outside a test can ask for it.


@dataclass(frozen=True)
class Disturb:
    """Hooks; each does nothing unless a test says otherwise."""

    identity: Callable[[Identity], Identity] = lambda true: true
    clock_s: float = 0.0  # added to what the clock says
    at: Callable[[Stage], None] = lambda _: None  # when a step begins: end, hang, sleep
    result: Callable[[str, Any], Any] = lambda _, true: true  # of a collective, by its kind
    call: Callable[[], None] = lambda: None  # before every timed collective


# How a process says where it is: each change of its record goes to the one that watches it.


class Reporter:
    """The record of this process, kept up to date with its watcher."""

    def __init__(
        self, record: Record, pipe: int, now: Callable[[], float], disturb: Disturb
    ) -> None:
        self.record = record
        self.now = now
        self._pipe = pipe
        self._disturb = disturb

    def tell(self, **changes: Any) -> None:
        """Change the record."""
        self.record = replace(self.record, **changes)
        _write(self._pipe, dump(self.record).encode() + b"\n")

    def step(self, name: str, detail: str, together: bool = False) -> None:
        """Begin the next step: on one's own, or together with the peers."""
        number = self.record.stage.step + 1
        self.tell(stage=Stage(name, detail, number, self.now(), together))
        self._disturb.at(self.record.stage)

    def check(self, name: str, verdict: Verdict, reason: str, remedy: str = "", **odd: Any) -> None:
        """Answer a question; `odd` and `sure` as a Check has them."""
        self.tell(checks=(*self.record.checks, Check(name, verdict, reason, remedy, **odd)))

    def end(self, how: str, why: str, for_a_peer: bool = False) -> None:
        """Say how it ended."""
        self.tell(end=End(how, why, self.now(), for_a_peer))


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]


# Read what the processes wrote; what cannot be trusted is set aside and named.

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
            aside.append(Aside(printable(name), one))
        elif one.rank in records:
            aside.append(Aside(printable(name), f"rank {one.rank} has already spoken"))
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
        record = load_plain(Record, text, SCHEMA_VERSION)
    except WireError as error:
        return printable(str(error))
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
    return dump(record, schema=SCHEMA_VERSION)


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
