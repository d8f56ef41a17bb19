"""The process that does the work, forked from the one that watches it."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from jaxpad.multi._teller import Teller
from jaxpad.multi._words import of_a_peer, of_error

_PR_SET_PDEATHSIG = 1  # prctl(2)


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
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        os.close(told)
        os.close(log)
        _run(work, tell, say, parent)
    os.close(tell)
    os.close(say)
    return Child(pid, told, log)


def _run(work: Callable[[int], None], tell: int, say: int, parent: int) -> None:
    """Never returns."""
    try:
        _die_with(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the watcher decides
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for standard in (1, 2):  # plugins print to stdout, which is for our one line
            os.dup2(say, standard)
        faulthandler.enable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of a hung job nobody wants the memory
        work(tell)
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def _die_with(parent: int) -> None:
    """Let the kernel end this process when its watcher is gone, however that ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)


def told_end(work: Callable[[Teller], None], teller: Teller) -> None:
    """Do `work`; its end, or its error, is told."""
    try:
        work(teller)
    except Exception as error:
        traceback.print_exc()
        words = of_error(error)
        teller.end("raised", words, for_a_peer=of_a_peer(words))
    else:
        teller.end("finished", "")
