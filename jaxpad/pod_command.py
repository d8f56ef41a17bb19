"""`pod -- COMMAND`: a jaxpad command in a pod, whose output comes out of the pod's log whole.

`kubectl logs POD | jaxpad pod --read` gives that output back.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad import paths
from jaxpad.containers import say
from jaxpad.core import child
from jaxpad.core.child import Child
from jaxpad.core.collector import Collector
from jaxpad.core.temporary import Folder
from jaxpad.errors import UsageError
from jaxpad.kubernetes import Lost, pack, unpack
from jaxpad.verdict import Verdict

STOP_S = 30.0  # between asking the command to end and ending it
BOUND = 64 << 20  # bytes of output: as much as is read back
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    seconds: str = ""
    bounds: str = ""
    read: bool = False
    command: tuple[str, ...] = ()


def pod_command(options: Options) -> int:
    """Run `jaxpad COMMAND`, print its stdout packed, and return its exit code.

    What it says on stderr goes to the log as it is. A command that takes longer than
    `seconds` is asked to end as Kubernetes would ask it, and what it prints then still counts.
    """
    if options.read:
        return _read()
    limit = _limit(options.seconds)
    if not options.command:
        raise UsageError("there is no command: put it behind --, as in pod -- smoke --json")
    with Folder() as folder:
        more = _bounds(options.bounds, folder / "bounds.toml")
        code, text = _run(child.python("-m", "jaxpad", *options.command, *more), limit)
    for line in pack(text):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    return code if code >= 0 else 128 - code


def _bounds(text: str, file: Path) -> list[str]:
    """Bounds as the file that the command wants; a pod has no other way to be given one."""
    if not text:
        return []
    file.write_text(text, encoding="utf-8")
    return ["--thresholds", str(file)]


def _read() -> int:
    """From a log on stdin to the text in it."""
    try:
        sys.stdout.write(unpack(sys.stdin.buffer.read().decode(errors="replace")))
    except Lost as lost:
        say(f"jaxpad: {lost}")
        return Verdict.INCONCLUSIVE.exit_code
    return 0


def _limit(text: str) -> float | None:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text)):
        raise UsageError(f"--seconds {text!r} is no number of 1 or more")
    return float(text) if text else None


def _run(argv: Sequence[str], limit: float | None) -> tuple[int, str]:
    """The exit code, negative for a signal, and what was printed."""
    variables = paths.importable(os.environ)
    with child.start(
        argv, environ=variables, stdin=None, stdout=child.PIPE, session=False
    ) as command:
        for number in _SIGNALS:  # the child gets it, too, where an init sends it to the group
            signal.signal(number, lambda n, _: command.send(n))
        told = Collector(command, BOUND)
        if not told.follow(limit):
            _stop(command, told, limit)
        if told.cut:
            say(f"jaxpad: the command has printed more than {BOUND >> 20} MiB; the rest is lost")
        return -signal.SIGKILL if command.code is None else command.code, told.out


def _stop(command: Child, told: Collector, limit: float | None) -> None:
    say(f"jaxpad: the command has taken its {limit:g} s, and is asked to end")
    command.send(signal.SIGTERM)
    if told.follow(STOP_S):
        return
    if not command.end():
        say(f"jaxpad: process {command.pid} cannot be killed and is left behind")
    told.last_words()  # not those of a grandchild, which may hold the pipe
