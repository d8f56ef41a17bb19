"""One pytest child: start it, follow its events, and say how it ended."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import checks, host, paths
from jaxpad.core import child

Event = dict[str, Any]
_GRACE = 2.0  # seconds a hung child gets to write its stack
MOST = 1 << 30  # bytes of output; a check that prints more is ended, before the disk is full
_LOOK_S = 1.0  # between two looks at how much there is
_OUTSIDE = 120.0  # least seconds for start and exit, however short a check's limit


def argv(folder: Path, nodes: Sequence[str]) -> list[str]:
    """The command that runs `nodes` of the suite in `folder`."""
    options = ["-p", "jaxpad.recorder", "-p", "no:terminal", "--capture=no"]
    return child.python("-u", "-m", "pytest", *options, *_settings(folder), *nodes)


def _settings(folder: Path) -> list[str]:
    """The folder's pytest.ini, else the shipped one for a project's; and the suite's fixtures."""
    fixtures = [] if folder == paths.SMOKE_TESTS else ["-p", "jaxpad.fixtures"]
    if (folder / "pytest.ini").is_file():
        return [*fixtures, "-c", str(folder / "pytest.ini")]
    shipped = paths.owner(folder) == "project" and (paths.SMOKE_TESTS / "pytest.ini").is_file()
    config = str(paths.SMOKE_TESTS / "pytest.ini") if shipped else os.devnull
    return [*fixtures, "-c", config, f"--rootdir={folder}"]


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    code: int  # negative: the signal, as subprocess has it
    timed_out: bool = False
    out_of_memory: bool = False
    left: int | None = None  # the process id of one that cannot be killed
    flooded: bool = False  # it had printed more than MOST, and was killed

    @property
    def clean(self) -> bool:
        """Pytest came to its own end: all passed (0) or some failed (1)."""
        return self.code in (0, 1) and not self.timed_out

    @property
    def words(self) -> str:
        """The ending as the second half of a sentence."""
        if self.out_of_memory:
            return "was killed by the kernel's out-of-memory killer"
        if self.code < 0:
            name = signal.Signals(-self.code).name
            return f"was ended by {name} ({signal.strsignal(-self.code)})"
        return f"ended itself with exit code {self.code}"


class Child:
    """A running pytest process, and its output in a file of `folder`.

    It ends with this process, however that ends: an orphan would hold the GPU.
    """

    def __init__(
        self, argv: Sequence[str], environ: Mapping[str, str], folder: Path, limit: float
    ) -> None:
        self._limit = limit
        self._log = folder / "output.log"
        self._kills = host.oom_kills()
        self._pipe, write = os.pipe()
        with self._log.open("wb") as log:
            self._process = child.start(
                argv,
                environ=dict(environ) | {checks.EVENTS: str(write)},
                stdout=log,
                stderr=child.STDOUT,
                keep=[write],
                cwd=folder,
            )
        os.close(write)
        self.timed_out = self.flooded = False

    def events(self) -> Iterator[Event]:
        """Events as they come; ends when the child does, or makes it end past its limit.

        A check's limit is the longest silence between two events.
        """
        pending = b""
        limit = max(self._limit, _OUTSIDE)
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while True:
                if not self._heard(selector, limit):
                    self._end_hung()
                    return
                data = os.read(self._pipe, 65536)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    yield json.loads(line)
                    limit = self._limit

    def ending(self) -> Ending:
        """Wait for the end and describe it."""
        code = self._process.wait(max(self._limit, _OUTSIDE))
        if code is None:
            self._end_hung()
            code = self._process.wait(child.STUCK_S)
        if code is None:
            return Ending(-signal.SIGKILL, timed_out=True, left=self._process.pid)
        killed = code == -signal.SIGKILL and not self.timed_out and not self.flooded
        no_memory = killed and host.oom_kills() != self._kills
        return Ending(code, self.timed_out, no_memory, flooded=self.flooded)

    def output(self, start: int = 0, end: int | None = None, most: int = 8000) -> str:
        """What was written from byte `start` to `end`; of more than `most` bytes the last."""
        with self._log.open("rb") as log:
            size = os.fstat(log.fileno()).st_size
            stop = size if end is None else min(end, size)
            log.seek(max(start, stop - most))
            text = log.read(max(0, stop - log.tell()))
        return text.decode(errors="replace").strip()

    def close(self) -> None:
        """End the child and all it started, and free what it held."""
        self._process.close()
        os.close(self._pipe)

    def _heard(self, selector: selectors.BaseSelector, limit: float) -> bool:
        """Wait for an event or the end; False after `limit` seconds of silence."""
        until = time.monotonic() + limit
        while (left := until - time.monotonic()) > 0:
            if not self.flooded and self._log.stat().st_size > MOST:
                self.flooded = True
                self._process.kill()
            if selector.select(min(left, _LOOK_S)):
                return True
        return False

    def _end_hung(self) -> None:
        """SIGABRT first: Python's fault handler then writes where each thread stands."""
        self.timed_out = True
        self._process.send(signal.SIGABRT)
        self._process.wait(_GRACE)
        self._process.kill()
