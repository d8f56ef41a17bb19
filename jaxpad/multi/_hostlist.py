"""Slurm's short way to write many node names: `n[0-3,07-12],login`.

Expanded here, since the image of a job seldom has scontrol.
Source: https://slurm.schedmd.com/scontrol.html (show hostnames).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from jaxpad.errors import UsageError

MOST = 100_000  # nodes
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_PART = re.compile(r"[^\[\],]+|\[[^\[\]]*\]")


def expand(text: str) -> tuple[str, ...]:
    """The names in order. Raises UsageError for what is no such list."""
    return tuple(name for word in _words(text) for name in _names(text, word))


def _words(text: str) -> list[str]:
    """`text` cut at the commas outside brackets."""
    return re.split(r",(?![^\[\]]*\])", text) if text else []


def _names(text: str, word: str) -> list[str]:
    names = [""]
    parts = _PART.findall(word)
    if not parts or "".join(parts) != word:
        raise UsageError(f"{text!r} is no list of nodes as Slurm writes one")
    for part in parts:
        endings = list(_numbers(text, part[1:-1])) if part.startswith("[") else [part]
        names = [name + ending for name in names for ending in endings]
    return names


def _numbers(text: str, ranges: str) -> Iterator[str]:
    for part in ranges.split(","):
        found = _RANGE.fullmatch(part)
        if not found:
            raise UsageError(f"{text!r} is no list of nodes as Slurm writes one")
        first, last = found[1], found[2] or found[1]
        if int(last) - int(first) >= MOST:
            raise UsageError(f"{text!r} names more than {MOST} nodes")
        yield from (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))


def counts(text: str) -> tuple[int, ...]:
    """Tasks of each node, from SLURM_STEP_TASKS_PER_NODE: `2(x3),1` is 2, 2, 2, 1."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        each = re.fullmatch(r"(\d{1,6})(?:\(x(\d{1,6})\))?", part)
        if not each or len(found) > MOST:
            raise UsageError(f"{text!r} is no count of tasks as Slurm writes one")
        found += [int(each[1])] * int(each[2] or 1)
    return tuple(found)
