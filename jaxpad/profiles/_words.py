"""Names that come near, and lists as prose has them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The known names most like a mistyped one, best first; empty where none is near."""
    return tuple(difflib.get_close_matches(name, sorted(known), n=count, cutoff=0.6))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean a or b?`, or nothing where no name is near."""
    found = nearest(name, known)
    return f"; did you mean {listed(found, 'or')}?" if found else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = list(words) or [""]
    return f"{', '.join(most)} {last} {end}" if most else end
