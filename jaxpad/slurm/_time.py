"""A time limit as sbatch reads it."""

from __future__ import annotations

import math


def seconds(text: str) -> float:
    """`MM`, `MM:SS`, `HH:MM:SS`, `D-HH`, `D-HH:MM` or `D-HH:MM:SS` in seconds; 0 is no limit."""
    days, dash, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, secs = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, secs = parts
    else:
        hours, (minutes, secs) = 0, [*parts, 0][:2]
    found = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + secs
    return float(found) or math.inf
