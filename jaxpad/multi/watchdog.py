"""Watch the worker: pass on what it says, end it when a stage takes too long.

A process apart, since JAX aborts where a peer is missing, and a thread of the worker
would neither survive that nor run while a C call holds the interpreter.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpad.core import lifeline
from jaxpad.multi import context, record as multi_record
from jaxpad.multi.context import of_a_peer, of_error
from jaxpad.multi.record import End, Record, Reporter, Stage

# The process that does the work, forked from the one that watches it.


@dataclass(frozen=True)
class Child:
    """A running worker, and what it says: records on one pipe, anything on the other."""

    pid: int
    told: int
    log: int


def start(work: Callable[[int], None]) -> Child:
    """Fork and run `work(pipe)`, which tells through the pipe.

    A fork, not a new program: what it is to do may hold a function of a test. The watcher
    has neither threads nor JAX.
    """
    told, tell = os.pipe()
    log, say = os.pipe()

    def run() -> None:
        os.close(told)
        os.close(log)
        _run(work, tell, say)

    fork = lifeline.fork(run)
    os.close(tell)
    os.close(say)
    return Child(fork.pid, told, log)


def _run(work: Callable[[int], None], tell: int, say: int) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the watcher decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for standard in (1, 2):  # plugins print to stdout, which is for our one line
        os.dup2(say, standard)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of a hung job nobody wants the memory
    work(tell)


def told_end(work: Callable[[Reporter], None], teller: Reporter) -> None:
    """Do `work`; its end, or its error, is told."""
    try:
        work(teller)
    except Exception as error:
        traceback.print_exc()
        words = of_error(error)
        teller.end("raised", words, for_a_peer=of_a_peer(words))
    else:
        teller.end("finished", "")


# What a worker says: all of it into a file, to the terminal without tracebacks.

_STACK = "Traceback (most recent call last)"
_CHAINED = ("The above exception was the direct cause", "During handling of the above exception")
MOST_BYTES = 16 << 20  # of the file


class Quiet:
    """Passes lines on but for Python's tracebacks and the exception that ends each.

    `whole`: all of them, for a program that keeps what it reads, as of a pod.
    """

    def __init__(self, whole: bool = False) -> None:
        self._whole = whole
        self._inside = False
        self._pending = ""

    def take(self, text: str) -> str:
        """Of all whole lines so far those that are to be seen."""
        *lines, self._pending = (self._pending + text).split("\n")
        return "".join(f"{line}\n" for line in lines if self._whole or not self._hides(line))

    def rest(self) -> str:
        """The last line, where it has no end."""
        return self.take("\n") if self._pending else ""

    def _hides(self, line: str) -> bool:
        if _STACK in line or line.startswith(_CHAINED):
            self._inside = True
            return True
        hidden = self._inside
        self._inside = hidden and (not line.strip() or line.startswith((" ", "\t")))
        return hidden


class Log:
    """The file of a worker's output; a folder that is full or gone costs the run nothing."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self._left = MOST_BYTES
        if file:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)  # of an earlier run

    def add(self, data: bytes) -> None:
        """Append what there is room for."""
        kept, self._left = data[: self._left], max(0, self._left - len(data))
        if self.file and kept:
            with contextlib.suppress(OSError), self.file.open("ab") as file:
                file.write(kept)


TICK_S = 0.2
_STACK_S = 2.0  # for a hung worker to write where its threads stand
_REAP_S = 10.0  # a process in a driver call may not end even by SIGKILL
_LOG = 16_000  # characters of the log that are kept
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Keep = Callable[[Record], None]


class Watcher:
    """The last record of a worker and the end of its log, and how it came to its end."""

    def __init__(
        self,
        child: Child,
        record: Record,
        keep: Keep,
        limit: Callable[[Stage], float],
        now: Callable[[], float],
        log: Path | None = None,
        whole: bool = False,
    ) -> None:
        self._child, self.record, self._keep = child, record, keep
        self._limit, self._now = limit, now
        self._began = time.monotonic()  # of the stage
        self._log, self._file, self._quiet = "", Log(log), Quiet(whole)
        self._cancelled = 0
        self._pending = b""

    def until_end(self) -> Record:
        """Follow the worker to its end; the record with that end is kept and returned."""
        with self._signals():
            end = self._follow() or self._ending(self._reap())
        self.record = replace(self.record, end=self.record.end or end)
        self._keep(self.record)
        return self.record

    @property
    def signal_code(self) -> int:
        """128 + N where signal N told us to end; else 0."""
        return 128 + self._cancelled if self._cancelled else 0

    def _follow(self) -> End | None:
        """None when the worker ends by itself."""
        changed = False
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.told, selectors.EVENT_READ, self._hear)
            selector.register(self._child.log, selectors.EVENT_READ, self._overhear)
            while selector.get_map():
                ready = selector.select(TICK_S)
                for key, _ in ready:
                    data = os.read(key.fd, 65536)
                    if not data:
                        selector.unregister(key.fd)
                    changed = key.data(data) or changed
                if changed and not ready:
                    self._keep(self.record)
                    changed = False
                if self.record.end is None and (end := self._must_end()):
                    self._end_it()
                    return end
        return None

    def _hear(self, data: bytes) -> bool:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines[-1:]:  # each is the whole record
            before, self.record = (
                self.record.stage.step,
                multi_record.trusted(Record, line.decode()),
            )
            if self.record.stage.step != before:
                self._began = time.monotonic()
        return bool(lines)

    def _overhear(self, data: bytes) -> bool:
        text = data.decode(errors="replace")
        self._log = (self._log + text)[-_LOG:]
        self._file.add(data)
        with contextlib.suppress(OSError):
            sys.stderr.write(self._quiet.take(text) if data else self._quiet.rest())
            sys.stderr.flush()
        return False

    def _must_end(self) -> End | None:
        if self._cancelled:
            name = signal.Signals(self._cancelled).name
            return End("cancelled", f"{name} told it to end", self._now())
        limit = self._limit(self.record.stage)
        if time.monotonic() - self._began > limit:
            return End("stopped", f"no progress for {limit:g} s", self._now())
        return None

    def _ending(self, code: int | None) -> End:
        """The end of a worker that did not say one."""
        if self._cancelled:
            name = signal.Signals(self._cancelled).name
            return End("cancelled", f"{name} told it to end", self._now())
        if code is None:
            return End("died", "it closed its pipes and did not end", self._now())
        said = context.fatal(self._log)
        if said:
            return End("died", said, self._now(), for_a_peer=context.of_a_peer(said))
        return End("died", context.of_code(code), self._now())

    def _end_it(self) -> None:
        """SIGABRT first, so that Python's fault handler writes where each thread stands."""
        for number, seconds in ((signal.SIGABRT, _STACK_S), (signal.SIGKILL, _REAP_S)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child.pid, number)
            if self._reap(seconds) is not None:
                break
        os.set_blocking(self._child.log, False)
        with contextlib.suppress(BlockingIOError):
            self._overhear(os.read(self._child.log, 65536))

    def _reap(self, seconds: float = _REAP_S) -> int | None:
        """The exit code, or None for a worker that is still there after `seconds`."""
        stop = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self._child.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > stop:
                return None
            time.sleep(0.02)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def note(number: int, _: object) -> None:
            self._cancelled = number

        before = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
