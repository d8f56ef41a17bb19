"""Ctrl-C, SIGTERM and SIGHUP end a run early and never lose its report."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked the run to end. Not an Exception, so that no check's handler eats it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)


def hold() -> None:
    """Ignore SIGNALS from here to the end of the `interruptible` block: the report is due."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Within the block the first of SIGNALS raises Interrupted, until `hold`; then none does."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        hold()
        raise Interrupted(number)

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
