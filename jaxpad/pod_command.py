"""`pod -- COMMAND`: a jaxpad command in a pod, whose output comes out of the pod's log whole.

`kubectl logs POD | jaxpad pod --read` gives that output back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad import paths
from jaxpad.containers import say
from jaxpad.errors import UsageError
from jaxpad.kubernetes import Lost, pack, unpack
from jaxpad.verdict import Verdict

STOP_S = 30.0  # between asking the command to end and ending it
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
    with tempfile.TemporaryDirectory(prefix="jaxpad-") as folder:
        more = _bounds(options.bounds, Path(folder) / "bounds.toml")
        code, text = _run([sys.executable, "-m", "jaxpad", *options.command, *more], limit)
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
    environ = paths.importable(os.environ)
    child = subprocess.Popen(
        argv, env=environ, stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
    )
    for number in _SIGNALS:  # the child gets it, too, where an init sends it to the group
        signal.signal(number, lambda n, _: child.send_signal(n))
    try:
        text, _ = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        text = _stop(child, limit)
    return child.returncode, text


def _stop(child: subprocess.Popen[str], limit: float | None) -> str:
    say(f"jaxpad: the command has taken its {limit:g} s, and is asked to end")
    child.terminate()
    try:
        return child.communicate(timeout=STOP_S)[0]
    except subprocess.TimeoutExpired:
        child.kill()
    try:
        return child.communicate(timeout=STOP_S)[0]
    except subprocess.TimeoutExpired as left:  # by a grandchild, which holds the pipe
        printed = left.output or b""
        return printed.decode(errors="replace") if isinstance(printed, bytes) else printed
