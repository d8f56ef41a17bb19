"""The words of the command line, and what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxpad import platforms
from jaxpad.errors import UsageError

LIMIT_S = 180.0  # of a stage; a communicator of a thousand GPUs takes a minute to set up
JOIN_S = 60.0


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    out: str = "multi-report"
    expect_processes: str = ""
    expect_devices: str = ""
    platform: str = "auto"
    limit: str = ""
    join: str = ""
    thresholds: str = ""
    pairwise: bool = False
    json: bool = False
    read: bool = False  # run nothing: merge and show what `out` holds


@dataclass(frozen=True)
class Wanted:
    """The same as numbers. None: whatever the scheduler says."""

    processes: int | None
    devices: int | None  # of each process
    limit_s: float
    join_s: float


def wanted(options: Options) -> Wanted:
    """Raises UsageError for an option that is no number, or no platform."""
    platforms.require(options.platform)
    return Wanted(
        processes=_count("expect-processes", options.expect_processes),
        devices=_count("expect-devices", options.expect_devices),
        limit_s=_seconds("limit", options.limit, LIMIT_S),
        join_s=_seconds("join", options.join, JOIN_S),
    )


def _count(name: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and int(text)):
        raise UsageError(f"--{name} {text!r} is no number of 1 or more")
    return int(text)


def _seconds(name: str, text: str, otherwise: float) -> float:
    try:
        seconds = float(text or otherwise)
    except ValueError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"--{name} {text!r} is no number of seconds; give one such as 60")
    return seconds
