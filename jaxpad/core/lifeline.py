"""Death with the parent: the kernel ends a child once the process that started it is gone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType


class Lifeline:
    """A pipe: this process holds one end and a child the other, on which nothing is ever sent.

    However this process ends, its end closes, and the kernel then sends the child the signal
    that `tie` has set on the other (F_SETOWN and F_SETSIG of fcntl(2), O_ASYNC of open(2)). Other
    than with PR_SET_PDEATHSIG, this may be done from any thread, holds for any program and for
    its whole process group, and is not lost across execve(2).

    Not covered: a parent that is killed before `tie`, within a millisecond of the child's start;
    a descendant that has made a process group of its own; a program that closes what it
    inherits; one that runs as a user whom the parent may not signal.
    """

    def __init__(self) -> None:
        self.given, self._held = os.pipe()  # neither survives an exec unless it is passed on

    def tie(self, owner: int, number: int = signal.SIGKILL) -> None:
        """Have process `owner`, or group -`owner`, get signal `number` when this end closes."""
        fcntl.fcntl(self.given, fcntl.F_SETSIG, number)
        fcntl.fcntl(self.given, fcntl.F_SETOWN, owner)
        flags = fcntl.fcntl(self.given, fcntl.F_GETFL)
        fcntl.fcntl(self.given, fcntl.F_SETFL, flags | os.O_ASYNC)

    def hold(self) -> None:
        """In a fork: hang on to it. Ends this process where the parent is gone already."""
        os.close(self._held)
        self.tie(os.getpid())
        waiting = select.poll()
        waiting.register(self.given, 0)  # a hang-up is told without being asked for
        if waiting.poll(0):
            os._exit(70)

    def cut(self) -> None:
        """Let go: what is left of those tied to it ends. A second call does nothing."""
        for end in (self._held, self.given) if self._held >= 0 else ():
            os.close(end)
        self._held = self.given = -1


# A child that is a fork, for work which cannot be handed to a new program.

FAILED = 70  # the exit code of a fork whose work raised: EX_SOFTWARE of sysexits.h


@dataclass(frozen=True)
class Fork:
    """A running fork; it ends with this process, and at the latest with `close`."""

    pid: int
    lifeline: Lifeline

    def close(self) -> None:
        """End it if it still runs; it is not waited for."""
        self.lifeline.cut()


def fork(work: Callable[[], object]) -> Fork:
    """Fork and do `work` in the child, which then exits with 0, or FAILED where it raises.

    The caller must have no other threads: a fork takes along the locks that they hold.
    """
    lifeline = Lifeline()
    pid = os.fork()
    if pid:
        return Fork(pid, lifeline)
    try:
        for number in SIGNALS:  # what they mean to the parent is not the child's
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        lifeline.hold()
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(0)


# Ctrl-C, SIGTERM and SIGHUP end a run early and never lose its report.

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end. Not an Exception, so that no check's handler eats it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)


def exit_code(name: str | None) -> int:
    """What a command that a signal ended exits with, as shells say it: 130 for SIGINT.

    `name` is the signal's; none, as of a KeyboardInterrupt of Python's own, is SIGINT.
    """
    return 128 + (signal.Signals[name] if name else signal.SIGINT)


def hold() -> None:
    """Ignore SIGNALS from here to the end of the `interruptible` block: the report is due."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the first of SIGNALS raises Interrupted, until `hold`; then none does.

    One that is ignored stays so: nohup(1) ignores SIGHUP, a shell SIGINT for what it starts in
    the background. Outside of the main thread, where Python takes no handler, nothing changes.
    """
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        """Raise it once; within `undisturbed` the end of that block does."""
        if _undisturbed.depth:
            _undisturbed.pending = number
            return
        came.append(number)
        hold()
        raise Interrupted(number)

    mine = threading.current_thread() is threading.main_thread()
    heeded = [n for n in SIGNALS if mine and signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in SIGNALS if mine}
    for number in heeded:
        signal.signal(number, interrupt)
    try:
        yield
    except Exception:
        if came:  # code in C has made another error of it
            raise Interrupted(came[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Undisturbed(threading.local):
    """Of each thread: how deep it is in `undisturbed`, and what has come meanwhile."""

    depth = 0
    pending = 0


_undisturbed = _Undisturbed()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What is done in the block is done before a signal raises Interrupted.

    As the start of a child: one that is not yet ours would be left running.
    """
    _undisturbed.depth += 1
    try:
        yield
    finally:
        _undisturbed.depth -= 1
        if not _undisturbed.depth and _undisturbed.pending:
            number, _undisturbed.pending = _undisturbed.pending, 0
            signal.raise_signal(number)
