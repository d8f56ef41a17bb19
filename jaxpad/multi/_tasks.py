"""Slurm's short way to write how many tasks each node has: `2(x3),1`."""

from __future__ import annotations

import re

from jaxpad.errors import UsageError
from jaxpad.hostlist import MOST


def counts(text: str) -> tuple[int, ...]:
    """Tasks of each node, from SLURM_STEP_TASKS_PER_NODE: `2(x3),1` is 2, 2, 2, 1."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        each = re.fullmatch(r"(\d{1,6})(?:\(x(\d{1,6})\))?", part)
        if not each or len(found) > MOST:
            raise UsageError(f"{text!r} is no count of tasks as Slurm writes one")
        found += [int(each[1])] * int(each[2] or 1)
    return tuple(found)
