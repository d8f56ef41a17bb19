"""The one way to run another program: `run` for a whole call, `start` for one that stays.

A child has a time limit where it is waited for, and one that cannot even be killed, because it is
stuck in the kernel, is left behind. It ends with this process, however that ends (see
`lifeline`), and with it what it has started in its process group. A Python of ours is
`python(...)` under `jaxpad.core.paths.importable`, and imports nothing from the current folder.

Standard library only, and that late: `jaxpad health` starts with this.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from jaxpad.core import lifeline
from jaxpad.core.lifeline import Lifeline
from jaxpad.core.paths import importable as importable

if TYPE_CHECKING:
    import subprocess

PIPE, STDOUT, NOTHING = -1, -2, -3  # as subprocess has PIPE, STDOUT and DEVNULL
BOUND = 16 << 20  # bytes of a stream that are kept
STUCK_S = 10.0  # a process that is not gone this long after SIGKILL is stuck in the kernel
_NAP_S = 0.002
_GRACE_S = 1.0  # for one in the foreground to act on Ctrl-C or SIGTERM
Place = int | IO[bytes] | None  # of a stream: one of the above, a file, None for our own


@dataclass(frozen=True)
class Outcome:
    """How a call ended, and what it said. `code` is negative for a signal."""

    code: int
    out: str
    err: str
    late: bool = False  # its time ran out, and it was killed
    left: int | None = None  # the process id of one that could not be killed, left behind
    cut: bool = False  # it said more than was kept

    @property
    def note(self) -> str:
        """What to add to a sentence that tells of a late one: empty if it was killed."""
        gone = self.left is None
        return "" if gone else f"; process {self.left} cannot be killed and is left behind"


def python(*words: str) -> list[str]:
    """The argv of a child of this Python that imports nothing from the current folder."""
    return [sys.executable, "-P", *words]


def run(
    argv: Sequence[str],
    *,
    limit_s: float | None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    given: str = "",
    bound: int = BOUND,
    stuck_s: float = STUCK_S,
) -> Outcome:
    """Run `argv` to its end, for `limit_s` seconds at most; None: as long as it takes.

    `given` goes to its standard input; of each stream `bound` bytes are kept. One that was
    killed, and is still there after `stuck_s` seconds, is left behind.
    Raises OSError where it cannot be started.
    """
    stdin = PIPE if given else NOTHING
    with start(argv, environ=environ, cwd=cwd, stdin=stdin, stdout=PIPE, stderr=PIPE) as child:
        told = Collector(child, bound, given.encode())
        late, gone = not told.follow(limit_s), True
        if late:
            gone = child.end(stuck_s=stuck_s)
            told.last_words()
        code = -signal.SIGKILL if child.code is None else child.code
        return Outcome(code, told.out, told.err, late, None if gone else child.pid, told.cut)


def run_fork(
    work: Callable[[], object], *, limit_s: float, bound: int = BOUND, stuck_s: float = STUCK_S
) -> Outcome:
    """Do `work` in a fork, as `run` does a program; what it writes to stdout is told.

    For work that takes less than a Python takes to start. The caller must have one thread.
    """
    receive, send = os.pipe()
    sys.stdout.flush()
    forked = lifeline.fork(lambda: _speak(work, receive, send))
    os.close(send)
    until = time.monotonic() + limit_s
    try:
        said, ended = _heard(receive, until, bound)
        code = _reaped(forked.pid, until) if ended else None
        late = code is None and len(said) <= bound
        if code is None:
            os.kill(forked.pid, signal.SIGKILL)
            code = _reaped(forked.pid, time.monotonic() + stuck_s)
    finally:
        os.close(receive)
        forked.close()
    gone = code is not None
    out = said[:bound].decode(errors="replace")
    at_end = -signal.SIGKILL if code is None else code
    return Outcome(at_end, out, "", late, None if gone else forked.pid, len(said) > bound)


def _speak(work: Callable[[], object], receive: int, send: int) -> None:
    os.close(receive)
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor, to in ((silence, 0), (send, 1), (silence, 2)):
        os.dup2(descriptor, to)
    work()
    sys.stdout.flush()


def _heard(pipe: int, until: float, bound: int) -> tuple[bytes, bool]:
    """What comes out of a pipe, and whether it has ended; no more than a little over `bound`."""
    said = b""
    while len(said) <= bound:
        left = until - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            return said, False
        part = os.read(pipe, 1 << 16)
        if not part:
            return said, True
        said += part
    return said, False


def _reaped(pid: int, until: float) -> int | None:
    """The exit code of a child, negative for a signal; None if it is still there by then."""
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(_NAP_S)


def call(argv: Sequence[str], cwd: Path | None = None) -> int:
    """Run `argv` in the foreground, with our own streams and terminal; its exit code.

    Without a time limit: somebody sits before it. Raises OSError where it cannot be started.
    """
    with start(argv, cwd=cwd, stdin=None, session=False) as child:
        try:
            code = child.wait()
        except KeyboardInterrupt:  # the terminal has sent it that, too
            child.wait(_GRACE_S)
            raise
        assert code is not None
        return code


def start(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Place = NOTHING,
    stdout: Place = None,
    stderr: Place = None,
    keep: Sequence[int] = (),
    session: bool = True,
    death: signal.Signals = signal.SIGKILL,
) -> Child:
    """Start `argv`; `keep` are descriptors that it inherits.

    In a session of its own, Ctrl-C in a terminal reaches us alone; what asks the user something
    needs `session=False`. `death` is what it gets when this process is gone.
    Raises OSError where it cannot be started.
    """
    with lifeline.undisturbed():
        return _started(argv, environ, cwd, (stdin, stdout, stderr), keep, session, death)


def _started(
    argv: Sequence[str],
    environ: Mapping[str, str] | None,
    cwd: Path | None,
    streams: tuple[Place, Place, Place],
    keep: Sequence[int],
    session: bool,
    death: signal.Signals,
) -> Child:
    import subprocess

    line = Lifeline()
    try:
        process = subprocess.Popen(
            argv,
            env=environ,
            cwd=cwd,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            pass_fds=(*keep, line.given),
            start_new_session=session,
        )
    except BaseException:
        line.cut()
        raise
    with contextlib.suppress(OSError):  # a kernel that cannot: the child outlives a SIGKILL
        line.tie(-process.pid if session else process.pid, death)
    return Child(process, line, session)


class Child:
    """A running program; a `with` block ends it, and all that is left of its group."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline: Lifeline, session: bool) -> None:
        self._process, self._lifeline, self._session = process, lifeline, session
        self._gone: bool | None = None  # as `end` has found
        self.pid = process.pid
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None as long as no end was seen."""
        return self._process.returncode

    def poll(self) -> int | None:
        """`code`, after a look whether it has ended."""
        return self._process.poll()

    def wait(self, limit_s: float | None = None) -> int | None:
        """`code`, as soon as it has ended; None where that takes more than `limit_s`."""
        import subprocess

        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(limit_s)
        return self.code

    def send(self, number: int) -> None:
        """Send a signal to it alone; nothing where it has ended."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL to it and its group; nothing where it has ended. From any thread."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if self._session:
                    os.killpg(self.pid, signal.SIGKILL)
                else:
                    self._process.kill()

    def end(self, grace_s: float = 0.0, stuck_s: float = STUCK_S) -> bool:
        """End it and its group; False for one that cannot be killed, and is left behind.

        With `grace_s`, it gets SIGTERM first and so many seconds to act on it.
        """
        if self._gone is None:
            if grace_s and self.poll() is None:
                self.send(signal.SIGTERM)
                self.wait(grace_s)
            self.kill()
            self._gone = self.wait(stuck_s) is not None
            self._lifeline.cut()
        return self._gone

    def close(self) -> None:
        """End it, one in the foreground by SIGTERM if it heeds that, and close the pipes to it."""
        self.end(0.0 if self._session else _GRACE_S)
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):  # what was never read
                    pipe.close()


@contextlib.contextmanager
def passing_on(*numbers: int) -> Iterator[Callable[[Child], Child]]:
    """Within the block these signals go to the child that is handed over, early ones as well."""
    target: list[Child] = []
    early: list[int] = []

    def act(number: int, _frame: object) -> None:
        if target:
            target[0].send(number)
        else:
            early.append(number)

    def take(started: Child) -> Child:
        target.append(started)
        for number in early:
            started.send(number)
        return started

    before = {number: signal.signal(number, act) for number in numbers}
    try:
        yield take
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# What a child says, read while it runs: bounded, and never waited for without a limit.

_READ = 1 << 16  # bytes: what a pipe holds
_TICK_S = 0.05  # how soon the end of a child is seen whose output somebody else keeps open
_LINGER_S = 1.0  # for the last words of what has ended, or was killed


class _Stream:
    """One stream of a child, up to a number of bytes; the rest is read and dropped."""

    event = selectors.EVENT_READ

    def __init__(self, pipe: IO[bytes], bound: int) -> None:
        self.pipe, self._bound = pipe, bound
        self._parts = bytearray()
        self.cut = False

    def serve(self) -> bool:
        """Read what has come; False at its end."""
        part = os.read(self.pipe.fileno(), _READ)
        room = self._bound - len(self._parts)
        self.cut = self.cut or len(part) > room
        self._parts += part[:room]
        return bool(part)

    @property
    def text(self) -> str:
        """As UTF-8 with one kind of line end, whatever is no UTF-8 replaced."""
        text = self._parts.decode(errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")


class _Given:
    """What a child is given on its standard input."""

    event = selectors.EVENT_WRITE

    def __init__(self, pipe: IO[bytes], data: bytes) -> None:
        self.pipe, self._left = pipe, memoryview(data)
        os.set_blocking(pipe.fileno(), False)

    def serve(self) -> bool:
        """Write what the pipe takes; False once all is written or the child reads no more."""
        try:
            self._left = self._left[os.write(self.pipe.fileno(), self._left[:_READ]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return len(self._left) > 0


class Collector:
    """Follows a child whose standard streams are pipes, all or some of them."""

    def __init__(self, child: Child, bound: int, given: bytes = b"") -> None:
        self._child = child
        self._out = _Stream(child.stdout, bound) if child.stdout else None
        self._err = _Stream(child.stderr, bound) if child.stderr else None
        wanted = _Given(child.stdin, given) if child.stdin else None
        streams = (self._out, self._err, wanted)
        self._open: list[_Stream | _Given] = [each for each in streams if each]

    def follow(self, limit_s: float | None) -> bool:
        """Until the child has ended and said all; False if that takes more than `limit_s`."""
        until = math.inf if limit_s is None else time.monotonic() + limit_s
        while self._child.poll() is None:
            left = until - time.monotonic()
            if left <= 0:
                return False
            if self._open:
                self._serve(min(left, _TICK_S))
            else:
                self._child.wait(None if limit_s is None else left)
        self._child.end()  # and what it has left running in its group
        self.last_words()
        return True

    def last_words(self) -> None:
        """What is in the pipes of a child that has ended, or was killed."""
        until = time.monotonic() + _LINGER_S
        while self._open and (left := until - time.monotonic()) > 0:
            self._serve(left)

    def _serve(self, limit_s: float) -> None:
        """Read and write what can be within `limit_s`."""
        with selectors.PollSelector() as waiting:
            for each in self._open:
                waiting.register(each.pipe, each.event, each)
            for key, _ in waiting.select(limit_s):
                if not key.data.serve():
                    key.data.pipe.close()
                    self._open.remove(key.data)

    @property
    def out(self) -> str:
        return self._out.text if self._out else ""

    @property
    def err(self) -> str:
        return self._err.text if self._err else ""

    @property
    def cut(self) -> bool:
        """Whether there was more than was kept."""
        return any(each.cut for each in (self._out, self._err) if each)
