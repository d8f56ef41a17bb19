"""Ask an engine's program something; it may hang, or have no daemon to ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxpad.core import child
from jaxpad.core.child import Outcome

_LIMIT = 20.0  # seconds a healthy daemon answers within


def ask(argv: Sequence[str]) -> Outcome:
    """What the program says; exit code 1 and the reason where it does not answer in time."""
    done = child.run(argv, limit_s=_LIMIT)
    if done.late:
        return replace(done, code=1, out="", err=f"no answer within {_LIMIT:.0f} s{done.note}")
    return done


def last(words: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
