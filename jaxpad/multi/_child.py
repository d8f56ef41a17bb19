"""The process that does the work, forked from the one that watches it."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from jaxpad.core import forked
from jaxpad.multi._teller import Teller
from jaxpad.multi._words import of_a_peer, of_error


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

    fork = forked.fork(run)
    os.close(tell)
    os.close(say)
    return Child(fork.pid, told, log)


def _run(work: Callable[[int], None], tell: int, say: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the watcher decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for standard in (1, 2):  # plugins print to stdout, which is for our one line
        os.dup2(say, standard)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # of a hung job nobody wants the memory
    work(tell)


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
