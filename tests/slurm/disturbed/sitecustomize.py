"""Disturbs jaxpad on one node of the tests' Slurm, whose PYTHONPATH alone leads here."""

import os
import pathlib
import signal
import sys
import time

HOW = os.environ.get("JAXPAD_TEST_DISTURB", "")


def _in_multi() -> None:
    """Make this node's process slow, or end it in the midst of the run."""
    from jaxpad import multi
    from jaxpad.multi import Stage
    from jaxpad.multi.record import Disturb

    def end(stage: Stage) -> None:
        if stage.name == "speed":
            os.kill(os.getpid(), signal.SIGKILL)

    slow = Disturb(call=lambda: time.sleep(0.1))
    multi.main.__defaults__ = (os.environ, Disturb(at=end) if HOW == "kill" else slow)


if HOW in ("slow", "kill") and "multi" in sys.orig_argv:
    _in_multi()
if HOW == "hang" and "pytest" in sys.orig_argv:  # a check of the node's own suite
    pathlib.Path(os.environ["JAXPAD_TEST_DISTURBED"]).touch()
    time.sleep(600)
