"""A child that is a fork, for work which cannot be handed to a new program."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from jaxpad.core._lifeline import Lifeline

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
        lifeline.hold()
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(FAILED)
    os._exit(0)
