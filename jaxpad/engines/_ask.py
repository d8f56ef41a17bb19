"""Ask an engine's program something; it may hang, or have no daemon to ask."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

_LIMIT = 20.0  # seconds a healthy daemon answers within


def ask(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """What the program says; exit code 1 and the reason where it does not answer in time."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, "", f"no answer within {_LIMIT:.0f} s")


def last(words: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
