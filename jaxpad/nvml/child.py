"""Ask in a child with a time limit: a driver that hangs or crashes keeps that to the child."""

from __future__ import annotations

import json
import os
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
    argv = child.python("-m", *words)
    told = child.run(argv, environ=variables, limit_s=limit_s, stuck_s=_LAST_WORDS_S)
    if told.late:
        return absent(f"TimeoutExpired: no answer within {limit_s:g} s{told.note}")
    if told.code:
        return absent(f"ended: the child that asked ended with code {told.code}")
    return attempt(json.loads, told.out)
