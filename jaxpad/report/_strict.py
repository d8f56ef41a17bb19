"""JSON of which every number has its place in a float, whoever wrote it."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_DIGITS = 20  # of a whole number; int() alone takes thousands
_SHOWN = 24  # characters of a number that is refused


class NoNumber(ValueError):
    """A number that jaxpad would not have written."""


def loads(text: str) -> Any:
    """The content of `text`.

    Raises NoNumber for NaN, infinity and what is too large for a float, ValueError for what is no
    JSON, and RecursionError for what nests without end.
    """
    return json.loads(text, parse_constant=_constant, parse_int=_int, parse_float=_float)


def _constant(word: str) -> None:
    raise NoNumber(f"it holds {word}, which is no number in JSON")


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise NoNumber(f"it holds a number of {len(text):,} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
        raise NoNumber(f"it holds {shown}, which is too large a number")
    return value
