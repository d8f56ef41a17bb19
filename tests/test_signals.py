"""Ctrl-C, SIGTERM, SIGHUP and SIGKILL at random moments: nothing is left of any long command.

    JAXPAD_SIGNALS=30 JAXPAD_SIGNALS_SEED=7 pytest tests/test_signals.py

sends each signal so often; a failure says the seed and the moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from fleet_nodes import put, report
from helpers import HOME, environ
from jaxpad.core import child
from jaxpad.core.lifeline import exit_code
from ports import free
from test_launch import FAKE

LIMIT_S = 3.0  # from the signal to the end, with nothing left
MARK = "MARK_OF_A_TEST"  # in the environment of all that a command starts
TIMES = int(os.environ.get("JAXPAD_SIGNALS", "1"))
SEED = os.environ.get("JAXPAD_SIGNALS_SEED", "19")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)


@dataclass(frozen=True)
class Long:
    """A command that takes a while; signals come within its first `within_s` seconds."""

    words: Callable[[Path, Path], list[str]]  # of what it reads, and of where it writes
    within_s: float


def _multi(_given: Path, out: Path) -> list[str]:
    return ["multi", "--platform", "cpu", "--out", str(out / "multi")]


COMMANDS = {
    "fleet": Long(lambda given, out: ["fleet", "--reports", str(given), "--out", str(out)], 4),
    "explain": Long(
        lambda *_: [
            *("profile.explain", "--profile", "fsdp-hopper", "--gpu", "h100-sxm"),
            *("--workload", "fsdp"),
        ],
        8,
    ),
    "tune": Long(
        lambda _, out: [
            *("profile.tune", "--workload", "dense", "--platform", "cpu", "--space", "cpu"),
            *("--measurements", "3", "--out", str(out)),
        ],
        8,
    ),
    "smoke": Long(lambda _, out: ["smoke", "-k", "not throughput", "--out", str(out)], 8),
    "multi": Long(_multi, 5),
    "launch": Long(lambda *_: ["launch", "--gpus", "none", "--", "python"], 2),
    "report": Long(lambda given, _: ["report", "--dir", str(given / "n0")], 2),
    "docs": Long(lambda *_: ["docs", "--check"], 3),
    "health": Long(lambda *_: ["health"], 0.3),
    "doctor": Long(lambda *_: ["doctor"], 1),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports, more than are read by one process."""
    root = tmp_path_factory.mktemp("reports")
    count = 1500 if TIMES > 1 else 300
    for at in range(count):
        put(root, f"n{at}", report(f"n{at}", 2))
    return root


@pytest.fixture(scope="module", autouse=True)
def heeded() -> Iterator[None]:
    """What a shell starts in the background ignores SIGINT, and so would these commands."""
    before = {
        number: signal.signal(number, handler)
        for number, handler in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGHUP, signal.SIG_DFL),
        )
    }
    yield
    for number, was in before.items():
        signal.signal(number, was)


class Run:
    """One command that gets one signal, in folders of its own."""

    def __init__(self, name: str, given: Path, folder: Path) -> None:
        self.out, self.temporary = folder / "out", folder / "tmp"
        self._mark = uuid.uuid4().hex
        for each in (self.out, self.temporary, folder / "bin"):
            each.mkdir(parents=True)
        docker = folder / "bin/docker"
        docker.write_text(
            FAKE.replace('"run ")', '"run ") exec sleep 30').replace(
                '"run "*)\n', '"run "*) exec sleep 30\n'
            )
        )
        docker.chmod(0o755)
        self.environ = environ(
            TMPDIR=str(self.temporary),
            XDG_CACHE_HOME=str(folder / "cache"),
            PATH=f"{docker.parent}:{os.environ['PATH']}",
            FAKE_IMAGES="jaxpad:new",
            FAKE_WAITS="1",
            JAXPAD_PROCESS="0",
            JAXPAD_PROCESSES="1",
            JAXPAD_COORDINATOR=f"127.0.0.1:{free()}",
            **{MARK: self._mark},
        )
        self.argv = [sys.executable, "-m", "jaxpad", *COMMANDS[name].words(given, self.out)]

    def signalled(self, number: signal.Signals, after_s: float | None) -> tuple[int, str]:
        """The exit code, and what was said; the command must end in time.

        Without `after_s` the signal comes as soon as the command has started another process.
        """
        with subprocess.Popen(
            self.argv,
            env=self.environ,
            cwd=HOME,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        ) as run:
            self._wait(run, after_s)
            self._send(run, number)
            try:
                _, said = run.communicate(timeout=self.limit_s)
            except subprocess.TimeoutExpired:
                alive = self.alive()
                self.end()
                pytest.fail(f"still there after {self.limit_s:.0f} s: {alive}")
        return run.returncode, said

    def _wait(self, run: subprocess.Popen[str], after_s: float | None) -> None:
        if after_s is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(after_s)
            return
        until = time.monotonic() + 30
        while len(self.alive()) < 2 and time.monotonic() < until:
            time.sleep(0.01)

    @property
    def limit_s(self) -> float:
        """Of a busy machine, three times as much: other tests run beside this one."""
        beside = "PYTEST_XDIST_WORKER" in os.environ
        busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        return LIMIT_S * (3 if beside or busy else 1)

    def _send(self, run: subprocess.Popen[str], number: signal.Signals) -> None:
        """As a terminal does, to the group; SIGKILL, SIGTERM to the process alone."""
        with contextlib.suppress(ProcessLookupError):
            if number in (signal.SIGINT, signal.SIGHUP):
                os.killpg(run.pid, number)
            else:
                os.kill(run.pid, number)

    def alive(self) -> dict[int, str]:
        """The processes that have our mark."""
        found = {}
        wanted = f"{MARK}={self._mark}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if wanted in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        return found

    def gone(self) -> dict[int, str]:
        """What is left LIMIT_S seconds on."""
        until = time.monotonic() + self.limit_s
        while (found := self.alive()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def end(self) -> None:
        for pid in self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def left(self) -> list[str]:
        return sorted(entry.name for entry in self.temporary.iterdir())

    def swept(self) -> list[str]:
        """What the next run leaves of it."""
        time.sleep(2.1)  # a folder that was just made is somebody's
        code = "from jaxpad.core.files import Folder; Folder().close()"
        child.run(child.python("-c", code), environ=self.environ, limit_s=30)
        return self.left()

    def spoilt(self) -> list[str]:
        """Files that are there in part."""
        found = []
        for file in self.out.rglob("*.json"):
            with contextlib.suppress(ValueError):
                json.loads(file.read_text())
                continue
            found.append(file.name)
        return found + [file.name for file in self.out.rglob(".*.tmp")]


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_is_left(name: str, number: signal.Signals, given: Path, tmp_path: Path) -> None:
    random = Random(f"{SEED} {name} {number}")
    for time_ in range(TIMES):
        after_s = random.uniform(0, COMMANDS[name].within_s)
        where = f"{name}, {number.name} after {after_s:.3f} s, seed {SEED}"
        _once(Run(name, given, tmp_path / str(time_)), number, after_s, where)


def _once(run: Run, number: signal.Signals, after_s: float, where: str) -> None:
    try:
        code, said = run.signalled(number, after_s)
        assert not run.gone(), where
    finally:
        run.end()
    if number is signal.SIGKILL:
        assert run.swept() == [], where
        assert [name for name in run.spoilt() if not name.endswith(".tmp")] == [], where
        return
    # Python may not have come to us yet (its own modules are frozen ones), or all was done.
    assert code in (0, 1, exit_code(number.name), -number), f"{where}: {code}\n{said}"
    assert "Traceback" not in said or "<frozen " in said, f"{where}\n{said}"
    assert run.left() == [], where
    assert run.spoilt() == [], where


@pytest.mark.parametrize("number", SIGNALS[:3], ids=lambda number: number.name)
def test_code_and_one_line(number: signal.Signals, given: Path, tmp_path: Path) -> None:
    """In the middle of it: 128 and the signal's number, and a line that names it."""
    run = Run("fleet", given, tmp_path)
    code, said = run.signalled(number, None)
    assert (code, said) == (exit_code(number.name), f"jaxpad: interrupted by {number.name}\n")


def test_one_that_is_ignored_stays_so(given: Path, tmp_path: Path) -> None:
    """Under nohup(1) the end of the terminal does not end a run."""
    run = Run("fleet", given, tmp_path)
    run.argv[:0] = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]
    with subprocess.Popen(run.argv, env=run.environ, cwd=HOME, stdout=subprocess.DEVNULL) as going:
        time.sleep(0.7)
        going.send_signal(signal.SIGHUP)
        assert going.wait(60) in (0, 3)
    assert (run.out / "fleet.json").exists()
