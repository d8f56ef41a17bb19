"""`health --hook`: what Slurm calls before a job, after it, and now and then.

Nothing goes to stdout, which Slurm reads from some of its hooks; people find the words in syslog
and on stderr, which slurmd logs where the hook fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import syslog
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from jaxpad import health
from jaxpad.clusters.slurm_commands import drain_argv, node_argv
from jaxpad.core import child
from jaxpad.core.bounds import Bounds
from jaxpad.core.results import UsageError
from jaxpad.health.model import printable
from jaxpad.health.slurm_hook import Decision, decide, named

ASK_S = 5.5  # for the driver
ALL_S = 8.5  # for all: with the start of Python under 10 s
SCONTROL_S = 1.0
REASON = 200  # characters
PAUSE_S = 1.0  # before a fault is looked for again: links train late after a boot
LOOKS = 2  # a fault that is in each of them stays


class _Late(Exception):
    """The hook's time is over."""


def health_hook(
    hook: str,
    *,
    thresholds: Path | None = None,
    expect: int | None = None,
    drain: bool = False,
    **look: Any,
) -> int:
    """10 for a fault that was seen, 0 for all else: also for doubt, and for a bug of ours.

    `look` goes to `health.look`: tests look at a machine of their own.
    """
    try:
        with _limited(ALL_S):
            _require(hook, drain=drain)
            limits = health.load(thresholds)
            return _run(hook, limits, expect, drain=drain, **look)
    except Exception as error:
        words = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        warn(f"{hook}: not all could be done: {words}")
        return 0


def warn(words: str) -> None:
    """What kept a hook from its work, where slurmd and syslog show it."""
    say(words, syslog.LOG_WARNING)


def _require(hook: str, *, drain: bool) -> None:
    if drain and hook != "healthcheck":
        raise UsageError(f"--drain is for --hook healthcheck: Slurm drains for a failed {hook}")


def _run(hook: str, bounds: Bounds, expect: int | None, *, drain: bool, **look: Any) -> int:
    if hook != "healthcheck" and named(os.environ) == ():
        return 0  # a job without a GPU
    found = _stays(hook, bounds, expect, **look)
    _tell(hook, found)
    if drain and found.faults:
        _drain(found)
    return found.code


def _stays(hook: str, bounds: Bounds, expect: int | None, **look: Any) -> Decision:
    """The faults of the last look, where each look before it had some of them, too."""
    ends = time.monotonic() + ASK_S
    found = _look(hook, bounds, expect, ASK_S, **look)
    for _ in range(LOOKS - 1):
        if not found.faults:
            return found
        time.sleep(PAUSE_S)
        left = ends - time.monotonic()
        again = _look(hook, bounds, expect, max(left, 0.1), **look)
        if not again.faults:
            say(
                f"{hook}: seen once, and not when looked at again: {found.words}", syslog.LOG_NOTICE
            )
        found = again.also_in(found)
    return found


def _look(hook: str, bounds: Bounds, expect: int | None, limit_s: float, **look: Any) -> Decision:
    snapshot, facts = health.look(limit_s=limit_s, **look)
    hidden = health.concealed(snapshot)
    findings = health.judge(hidden, health.describe(hidden), bounds, facts, expect=expect)
    return decide(hook, findings, hidden, os.environ)


def _tell(hook: str, found: Decision) -> None:
    if found.faults:
        say(f"{hook}: {found.words}", syslog.LOG_ERR)
    elif found.doubt:
        say(f"{hook}: nothing was judged: {found.doubt}", syslog.LOG_WARNING)


def say(words: str, level: int) -> None:
    """One line, on stderr and to syslog."""
    line = printable(words)[:1000]
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"jaxpad: {line}\n")
    syslog.openlog("jaxpad", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(level, line.encode(errors="replace").decode())


def _drain(found: Decision) -> None:
    """Drain the node with the faults as the reason; an admin's own reason stays."""
    node = os.environ.get("SLURMD_NODENAME") or os.uname().nodename.partition(".")[0]
    shown = _scontrol(node_argv(node))
    if "DRAIN" in _state(shown):
        return
    _scontrol(drain_argv(node, printable(f"jaxpad: {found.words}")[:REASON]))
    say(f"healthcheck: {node} is drained", syslog.LOG_ERR)


def _state(shown: str) -> str:
    return next((word for word in shown.split() if word.startswith("State=")), "")


def _scontrol(argv: list[str]) -> str:
    done = child.run(argv, limit_s=SCONTROL_S, stuck_s=SCONTROL_S)
    if done.late:
        raise UsageError(f"{argv[0]} {argv[1]} gave no answer within {SCONTROL_S:g} s{done.note}")
    if done.code:
        raise UsageError(f"{argv[0]} {argv[1]} failed: {done.err.strip() or done.out.strip()}")
    return done.out


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Within the block, raises _Late after so many seconds."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise _Late(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
