"""Follow our jobs until each has ended, or has kept us waiting for too long."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad.clusters import slurm_commands as words, stages
from jaxpad.clusters.slurm_commands import Refused, ask
from jaxpad.clusters.stages import some
from jaxpad.core.files import read_plain
from jaxpad.core.results import Verdict

_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"})
_RUNNING = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})
_COMPLETING = "COMPLETING"
COMPLETING_S = 60.0  # a node that died leaves its job in this state, perhaps for good
SILENCE_S = 120.0  # of slurmctld, before we give up
GRACE_S = 120.0  # past the time limit, which Slurm itself enforces


@dataclass(frozen=True)
class Seen:
    """A job in squeue."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Ending:
    """How a job ended. `started`: whether it ran at all; `why` is for people."""

    state: str
    started: bool
    why: str = ""


@dataclass(frozen=True)
class Patience:
    """Seconds that a job may pend, and may run."""

    wait_s: float
    run_s: float


@dataclass
class Followed:
    """A job of ours on the way."""

    job: str
    since: float  # of its present phase, by time.monotonic
    phase: str = "waiting"  # then running, then completing
    seen: Seen = field(default_factory=lambda: Seen("PENDING"))


def parse(text: str) -> dict[str, Seen]:
    """Jobs by id, from what squeue printed."""
    rows = [line.strip().split("|", 2) for line in text.splitlines() if line.count("|") >= 2]
    return {job: Seen(state, reason) for job, state, reason in rows}


def follow(
    name: str,
    jobs: Mapping[str, str],
    patience: Patience,
    ended: Callable[[str, Ending], None],
    moved: Callable[[Mapping[str, Followed]], None] = lambda _: None,
) -> None:
    """Tell of every job how it ended, as soon as it has.

    `jobs` are ids by what we call them, such as the node; all have the job name `name`.
    A job that pends or runs for too long is cancelled. Where Slurm falls silent for
    SILENCE_S seconds the rest is told as such.
    """
    left = {key: Followed(job, time.monotonic()) for key, job in jobs.items()}
    heard = time.monotonic()
    while left:
        try:
            seen = parse(ask(words.squeue_argv(name)))
        except Refused as error:
            if time.monotonic() - heard > SILENCE_S:
                _give_up(left, f"Slurm no longer answers: {error}", ended)
                return
        else:
            heard = time.monotonic()
            left = _step(name, left, seen, patience, ended)
            moved(left)
        time.sleep(pause(len(left)))


def pause(jobs: int) -> float:
    """Seconds between two questions: quick for a few jobs, sparing slurmctld for many."""
    return min(10.0, 0.5 + jobs / 100) if jobs else 0.0


def _give_up(left: Iterable[str], why: str, ended: Callable[[str, Ending], None]) -> None:
    for key in left:
        ended(key, Ending("", started=True, why=why))


def _step(
    name: str,
    left: Mapping[str, Followed],
    seen: Mapping[str, Seen],
    patience: Patience,
    ended: Callable[[str, Ending], None],
) -> dict[str, Followed]:
    """One look at every job; those that go on."""
    going: dict[str, Followed] = {}
    now = time.monotonic()
    for key, one in left.items():
        ending = judge(one, seen.get(one.job), now, patience)
        if ending is None:
            going[key] = one
            continue
        if ending.state in _WAITING | _RUNNING:
            _cancel(name, one.job)
        ended(key, ending)
    return going


def judge(one: Followed, seen: Seen | None, now: float, patience: Patience) -> Ending | None:
    """How the job ended, None where it goes on; `one` is brought up to date.

    A job that squeue no longer knows has ended a while ago.
    """
    if seen is None:
        return Ending("ENDED", started=True)
    phase = _phase(seen.state)
    if phase != one.phase:
        one.phase, one.since = phase, now
    one.seen = seen
    for_s = now - one.since
    if phase == "waiting" and for_s > patience.wait_s:
        why = f"still pending after {patience.wait_s:g} s ({seen.reason})"
        return Ending(seen.state, started=False, why=why)
    if phase == "running" and for_s > patience.run_s:
        return Ending(seen.state, started=True, why="it ran past its time limit")
    if phase == "completing" and for_s > COMPLETING_S:
        return Ending(_COMPLETING, started=True, why="Slurm cannot end it")
    return _ended(seen) if phase == "ended" else None


def _phase(state: str) -> str:
    if state in _WAITING:
        return "waiting"
    if state in _RUNNING:
        return "running"
    return "completing" if state == _COMPLETING else "ended"


def _ended(seen: Seen) -> Ending:
    told = "" if seen.reason in ("None", seen.state, "") else seen.reason
    return Ending(seen.state, started=True, why=told)


def _cancel(name: str, job: str) -> None:
    try:
        ask(words.scancel_argv(name, [job]))
    except Refused:
        return  # it has ended by itself, or slurmctld is gone


# The report of a node, once its job has ended.

LATE_S = 10.0  # file systems that nodes share show a new file some seconds late
LARGEST = 64 << 20  # bytes
_OURS = ("smoke.json", "traces.json", "junit.xml", "report.html")


def clear(nodes: Path) -> None:
    """Take away the reports of an earlier run: they would be counted as this run's.

    `nodes` has one folder a node. Nothing else in them is touched.
    """
    for folder in nodes.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            for name in _OURS:
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds something that is not ours
                folder.rmdir()


def landed(folder: Path) -> Verdict | None:
    """The verdict in a node's report; None where there is none yet.

    Inconclusive where it cannot be read: `jaxpad.fleet` says why.
    """
    file = folder / "smoke.json"
    try:
        os.listdir(folder)  # noqa: PTH208 - makes a network file system look anew
        return Verdict(json.loads(read_plain(file, LARGEST).decode("utf-8"))["verdict"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Verdict.INCONCLUSIVE


def late(folders: Iterable[Path], wait_s: float = LATE_S) -> dict[Path, Verdict]:
    """The verdicts of reports that come within `wait_s` seconds."""
    end, missing = time.monotonic() + wait_s, set(folders)
    found: dict[Path, Verdict] = {}
    while missing:
        here = {folder: landed(folder) for folder in missing}
        found |= {folder: verdict for folder, verdict in here.items() if verdict}
        missing -= found.keys()
        if time.monotonic() > end:
            break
        time.sleep(0.5 if missing else 0)
    return found


def absence(folder: Path, log: Path, state: str) -> str:
    """Why a job that ended has left no report.

    The log is written by the node, too: where it is not there, the folder is not shared.
    """
    words = _last_line(log)
    if words:
        return f"its job ended ({state}) without a report; the last line of {log} is: {words}"
    return (
        f"its job ended ({state}) and {folder} has no report: --out must be on a file system that "
        "this machine and all nodes share"
    )


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


# What the jobs that are left wait for, in words.

Told = stages.Told[Mapping[str, Followed]]


def standing(left: Mapping[str, Followed]) -> str:
    """`waiting: 3 running (n1, n2, n3), 1 pending (n7: Resources)`."""
    pending = {key: one for key, one in left.items() if one.phase == "waiting"}
    running = [key for key in left if key not in pending]
    parts = [f"{len(running)} running ({some(running)})"] if running else []
    reasons = [f"{key}: {one.seen.reason or 'no reason'}" for key, one in pending.items()]
    parts += [f"{len(pending)} pending ({some(reasons)})"] if pending else []
    return f"waiting: {', '.join(parts)}"
