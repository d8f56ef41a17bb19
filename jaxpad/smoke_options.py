"""Checks of `smoke`'s options that hold wherever the suite runs.

Each raises UsageError, before anything runs.
"""

from __future__ import annotations

import math
from pathlib import Path

from jaxpad import platforms, runner
from jaxpad.cluster import Cluster
from jaxpad.errors import UsageError
from jaxpad.paths import SMOKE_TESTS


def limit(seconds: float) -> float:
    """Seconds of each check."""
    if not 0 < seconds < math.inf:
        raise UsageError(f"--limit {seconds:g} is not a time: give seconds above 0")
    return seconds


def select(expression: str | None, *suite: Path) -> str | None:
    """What `-k` chooses, which is at least one check, of the shipped ones or in `suite`."""
    runner.select(runner.collect(*(suite or (SMOKE_TESTS,))), expression)
    return expression


def platform(requested: str, wanted: Cluster) -> str:
    """`auto` means gpu: a node of a cluster that lacks its GPUs is broken."""
    platforms.require(requested)
    if requested != "auto":
        return requested
    return "cpu" if wanted.gpus_per_node == 0 else "gpu"


def make(out: Path) -> None:
    """The report's folder; an engine for containers would make it as root."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be made: {error.strerror}") from error
