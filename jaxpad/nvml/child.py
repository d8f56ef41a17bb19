"""Ask in a child with a time limit: a driver that hangs or crashes keeps that to the child."""

from __future__ import annotations

import functools
import json
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxpad.core import child
from jaxpad.core.reading import Reading, absent, attempt, from_plain
from jaxpad.nvml.kernel_log import KMSG, SYSFS
from jaxpad.nvml.state import Snapshot, unanswered

LIMIT_S = 30.0  # a healthy driver answers in one second
_LAST_WORDS_S = 1.0  # for a child that was killed to end


def ask(
    limit_s: float = LIMIT_S,
    sysfs: Path = SYSFS,
    kmsg: Path = KMSG,
    environ: Mapping[str, str] | None = None,
) -> Snapshot:
    """`snapshot`, taken in a child that has `limit_s` seconds.

    Raises nothing: where the child gives no answer, every reading of NVML says why.
    """
    words = ("jaxpad.nvml", "snapshot", str(sysfs), str(kmsg))
    told = ask_module(words, limit_s, environ)
    found = told.map(lambda plain: from_plain(Snapshot, plain))
    return found.value or unanswered(found.reason or "no answer", sysfs, kmsg)


def record(limit_s: float = LIMIT_S, environ: Mapping[str, str] | None = None) -> Reading[Any]:
    """Every answer of NVML as a scenario of the tests, disguised in the child that asks.

    Raises nothing: without a driver, or after `limit_s` seconds, the reading says why.
    """
    told = ask_module(("jaxpad.nvml", "record"), limit_s, environ)
    refused = told.map(lambda found: found.get("error"))
    return absent(refused.value) if refused.value else told


def ask_module(
    words: Sequence[str], limit_s: float, environ: Mapping[str, str] | None = None
) -> Reading[Any]:
    """What `python -m <words>` prints as JSON, or why there is none.

    `environ` is the child's, by default this process's. A child that is stuck in the kernel
    cannot be ended and is left behind.
    """
    variables = child.importable(os.environ if environ is None else environ)
    if _may_fork(variables):
        work = functools.partial(_as_module, words, variables)
        return _parsed(child.run_fork(work, limit_s=limit_s, stuck_s=_LAST_WORDS_S), limit_s)
    argv = child.python("-m", *words)
    told = child.run(argv, environ=variables, limit_s=limit_s, stuck_s=_LAST_WORDS_S)
    return _parsed(told, limit_s)


def _parsed(told: child.Outcome, limit_s: float) -> Reading[Any]:
    if told.late:
        return absent(f"TimeoutExpired: no answer within {limit_s:g} s{told.note}")
    if told.code:
        return absent(f"ended: the child that asked ended with code {told.code}")
    return attempt(json.loads, told.out)


# A fork instead of another Python, which takes longer to start than a driver to answer.

_PACKAGE = str(Path(__file__).parents[2])
_LINKER = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT")  # read once, when a program starts


def _may_fork(environ: Mapping[str, str]) -> bool:
    """Whether a fork is as good: the same libraries, no thread whose locks it would take along."""
    same = all(os.environ.get(name) == environ.get(name) for name in _LINKER)
    try:
        return same and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - names alone
    except OSError:
        return False


def _as_module(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """What `python -P -m WORDS` does, in this process."""
    os.environ.clear()
    os.environ.update(environ)
    here = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)] + [_PACKAGE]
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
