"""Processes of a job on this machine, each with the fault that a test gives it.

As a program (`python multi_ranks.py FAULT OPTIONS`) it is one of them.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ports
from helpers import HOME, environ
from jaxpad import multi
from jaxpad.commands.options import read
from jaxpad.multi import Identity, MultiReport, Stage
from jaxpad.multi.record import Disturb

AT = "all_gather with all"  # where a process ends or hangs
OWN = "all_gather: data of its own"


def _end(pid: int) -> Any:
    def at(stage: Stage) -> None:
        if stage.detail == AT:
            os.kill(os.getppid() if pid else os.getpid(), signal.SIGKILL)

    return at


def _hang(stage: Stage) -> None:
    """In C, and without letting any other thread of Python run."""
    if stage.detail == OWN:
        ctypes.PyDLL(None).sleep(1000)


def _raise(stage: Stage) -> None:
    if stage.detail == OWN:
        raise RuntimeError("the GPU is gone")


def _late(seconds: float) -> Callable[[Stage], None]:
    return lambda stage: time.sleep(seconds if stage.detail == "import JAX" else 0)


def _package(one: Identity) -> Identity:
    return dataclasses.replace(one, versions=one.versions | {"jaxlib": "0.9.9"})


def _profile(one: Identity) -> Identity:
    return dataclasses.replace(one, profile="moe")


def _flags(one: Identity) -> Identity:
    return dataclasses.replace(one, xla_flags=f"{one.xla_flags} --xla_other=true".strip())


FAULTS = {
    "none": Disturb(),
    "killed": Disturb(at=_end(0)),
    "killed with its watcher": Disturb(at=_end(1)),
    "hung": Disturb(at=_hang),
    "raises": Disturb(at=_raise),
    "late": Disturb(at=_late(6)),
    "jaxlib and late": Disturb(identity=_package, at=_late(4)),
    "profile and slow": Disturb(identity=_profile, call=lambda: time.sleep(0.12)),
    "flags, clock and wrong": Disturb(
        identity=_flags,
        clock_s=5.0,
        result=lambda kind, x: x + 1 if kind == "all_to_all" else x,
    ),
}


@dataclass(frozen=True)
class Ran:
    """What a run left: exit codes, stdout and stderr by rank, and what it comes to."""

    codes: tuple[int | None, ...]
    outputs: tuple[str, ...]
    logs: tuple[str, ...]
    report: MultiReport

    @property
    def blamed(self) -> set[tuple[str, str]]:
        """Node and fault."""
        return {(one.node, str(one.fault)) for one in self.report.blame}


def start(
    out: Path, faults: Sequence[str | None], words: dict[str, Any], per_node: int = 1
) -> list[subprocess.Popen[bytes]]:
    """A process for each fault, on "nodes" n0, n1, ...; None: it never starts."""
    address = f"localhost:{ports.free()}"
    script = str(Path(__file__))
    found = []
    for rank, fault in enumerate(faults):
        if fault is None:
            continue
        place = {
            "JAXPAD_PROCESS": str(rank),
            "JAXPAD_PROCESSES": str(len(faults)),
            "JAXPAD_COORDINATOR": address,
            "JAXPAD_NODE": f"n{rank // per_node}",
        }
        options = json.dumps({"out": str(out), "platform": "cpu"} | words)
        with _log(out, rank, "stdout") as stdout, _log(out, rank, "stderr") as stderr:
            one = subprocess.Popen(
                [sys.executable, script, fault, options],
                env=environ(**place, PYTHONPATH=f"{HOME}:{HOME / 'tests'}"),
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        found.append(one)
    return found


def _log(out: Path, rank: int, name: str) -> IO[bytes]:
    """A file for what a process prints."""
    out.mkdir(exist_ok=True)
    return (out / f"{name}-{rank}").open("wb")


def finish(out: Path, processes: Sequence[subprocess.Popen[bytes]], count: int) -> Ran:
    """Wait for all, see that they left nothing behind, and merge."""
    codes = tuple(process.wait(timeout=100) for process in processes)
    for process in processes:
        gone(process.pid)
    return Ran(
        codes=codes,
        outputs=tuple(file.read_text() for file in sorted(out.glob("stdout-*"))),
        logs=tuple(file.read_text() for file in sorted(out.glob("stderr-*"))),
        report=multi.merge(out, multi.Expected(processes=count)),
    )


def run(out: Path, faults: Sequence[str | None], per_node: int = 1, **words: Any) -> Ran:
    """Start and finish."""
    processes = start(out, faults, words, per_node)
    return finish(out, processes, len(faults))


def gone(session: int) -> None:
    """Fails if a process of the session is there after a moment, as a zombie or otherwise."""
    for _ in range(50):
        left = [one.name for one in Path("/proc").glob("[0-9]*") if _session(one) == session]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"left behind: {left}")


def _session(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, IndexError):
        return 0


if __name__ == "__main__":
    sys.exit(
        multi.main(read(multi.MultiOptions, json.loads(sys.argv[2])), disturb=FAULTS[sys.argv[1]])
    )
