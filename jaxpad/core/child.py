"""The one way to run another program: `run` for a whole call, `start` for one that stays.

A child has a time limit where it is waited for, and one that cannot even be killed, because it is
stuck in the kernel, is left behind. It ends with this process, however that ends (see
`_lifeline`), and with it what it has started in its process group. A Python of ours is
`python(...)` under `jaxpad.paths.importable`, and imports nothing from the current folder.

Standard library only, and that late: `jaxpad health` starts with this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from jaxpad.core._lifeline import Lifeline

if TYPE_CHECKING:
    import subprocess

PIPE, STDOUT, NOTHING = -1, -2, -3  # as subprocess has PIPE, STDOUT and DEVNULL
BOUND = 16 << 20  # bytes of a stream that are kept
STUCK_S = 10.0  # a process that is not gone this long after SIGKILL is stuck in the kernel
_GRACE_S = 2.0  # for one in the foreground to act on Ctrl-C or SIGTERM
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
    from jaxpad.core.collector import Collector

    stdin = PIPE if given else NOTHING
    with start(argv, environ=environ, cwd=cwd, stdin=stdin, stdout=PIPE, stderr=PIPE) as child:
        told = Collector(child, bound, given.encode())
        late, gone = not told.follow(limit_s), True
        if late:
            gone = child.end(stuck_s=stuck_s)
            told.last_words()
        code = -signal.SIGKILL if child.code is None else child.code
        return Outcome(code, told.out, told.err, late, None if gone else child.pid, told.cut)


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
    import subprocess

    lifeline = Lifeline()
    try:
        process = subprocess.Popen(
            argv,
            env=environ,
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(*keep, lifeline.given),
            start_new_session=session,
        )
    except BaseException:
        lifeline.cut()
        raise
    started = Child(process, lifeline, session)
    try:
        with contextlib.suppress(OSError):  # a kernel that cannot: the child outlives a SIGKILL
            lifeline.tie(-process.pid if session else process.pid, death)
    except BaseException:
        started.close()
        raise
    return started


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
