"""`pod -- COMMAND`: a jaxpad command in a pod, whose output comes out of the pod's log whole.

`kubectl logs POD | jaxpad pod --read` gives that output back.
"""

from __future__ import annotations

import json as json_
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxpad import multi, nvml
from jaxpad.clusters.kube_logs import Lost, pack, unpack
from jaxpad.commands.machine import MultiOptions, PodOptions, RecordOptions
from jaxpad.core import child, files
from jaxpad.core.child import Child, Collector
from jaxpad.core.files import Folder
from jaxpad.core.results import UsageError, Verdict

STOP_S = 30.0  # between asking the command to end and ending it
BOUND = 64 << 20  # bytes of output: as much as is read back
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def pod_command(options: PodOptions) -> int:
    """Run `jaxpad COMMAND`, print its stdout packed, and return its exit code.

    What it says on stderr goes to the log as it is. A command that takes longer than
    `seconds` is asked to end as Kubernetes would ask it, and what it prints then still counts.
    """
    if options.read:
        return _read()
    if not options.command:
        raise UsageError("there is no command: put it behind --, as in pod -- smoke --json")
    # The child gets the signals, too, where an init sends them to the group.
    with child.passing_on(*_SIGNALS) as to, Folder() as folder:
        more = _bounds(options.bounds, folder / "bounds.toml")
        argv = child.python("-m", "jaxpad", *options.command, *more)
        code, text = _run(argv, options.seconds, to)
        for line in pack(text):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
    return code if code >= 0 else 128 - code


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _bounds(text: str, file: Path) -> list[str]:
    """Bounds as the file that the command wants; a pod has no other way to be given one."""
    if not text:
        return []
    file.write_text(text, encoding="utf-8")
    return ["--thresholds", str(file)]


def _read() -> int:
    """From a log on stdin to the text in it."""
    log = sys.stdin.buffer.read(BOUND + 1)
    try:
        if len(log) > BOUND:
            raise Lost(f"the log on stdin is larger than {BOUND >> 20} MiB")
        sys.stdout.write(unpack(log.decode(errors="replace")))
    except Lost as lost:
        _say(f"jaxpad: {lost}")
        return Verdict.INCONCLUSIVE.exit_code
    return 0


def _run(argv: Sequence[str], limit: float | None, to: Callable[[Child], Child]) -> tuple[int, str]:
    """The exit code, negative for a signal, and what was printed."""
    variables = child.importable(os.environ)
    with child.start(
        argv, environ=variables, stdin=None, stdout=child.PIPE, session=False
    ) as command:
        to(command)
        told = Collector(command, BOUND)
        if not told.follow(limit):
            _stop(command, told, limit)
        if told.cut:
            _say(f"jaxpad: the command has printed more than {BOUND >> 20} MiB; the rest is lost")
        return -signal.SIGKILL if command.code is None else command.code, told.out


def _stop(command: Child, told: Collector, limit: float | None) -> None:
    _say(f"jaxpad: the command has taken its {limit:g} s, and is asked to end")
    command.send(signal.SIGTERM)
    if told.follow(STOP_S):
        return
    if not command.end():
        _say(f"jaxpad: process {command.pid} cannot be killed and is left behind")
    told.last_words()  # not those of a grandchild, which may hold the pipe


# The `multi` command: this process's part of a run, or the merge of an earlier one.


def multi_command(options: MultiOptions) -> int:
    """Run this process's part and return its exit code."""
    return multi.main(options)


# `nvml.record`: write down what this machine's NVML answers, for the tests to play back.

HEAD = """\
# What NVML answers on one machine, written by `jaxpad nvml.record`. UUIDs, serial numbers,
# PCI bus ids, process ids and names are replaced, the same input by the same output.
"""


def nvml_record(options: RecordOptions) -> int:
    """Write the recording whole or not at all, or print it as JSON; 0.

    Raises UsageError where no driver answers or the file cannot be written.
    """
    found = _recorded()
    if options.json:
        json_.dump(found, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    _write(options.out, HEAD + to_toml(found))
    sys.stderr.write(f"wrote {options.out}; read it before you send it\n")
    return 0


def _recorded() -> dict[str, Any]:
    told = nvml.record()
    if told.value is None:
        raise UsageError(
            f"nothing to record, as NVML does not answer here ({told.reason}); "
            "run it on a machine with an NVIDIA driver, and see jaxpad doctor"
        )
    found: dict[str, Any] = told.value
    return found


def to_toml(found: Mapping[str, Any]) -> str:
    """The recording as TOML: what is the machine's, then one table a GPU."""
    gpus = found.get("gpu", {})
    lines = list(_lines({name: value for name, value in found.items() if name != "gpu"}))
    for index, answers in gpus.items():
        lines += ["", f"[gpu.{index}]", *_lines(answers)]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            yield from _lines(value, key)
        else:
            yield f"{key} = {json_.dumps(value)}"  # of a string, number or list: TOML's own form


def _write(path: Path, text: str) -> None:
    try:
        files.write_whole(path, text)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot write {path} ({why}); name another file with --out") from error
