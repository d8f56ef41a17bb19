"""Whether two runs of a step gave the same numbers, within what the dtype lets rounding do.

Tolerances are JAX's own for gradients (jax/_src/public_test_util.py,
default_gradient_tolerance), taken of the largest number of the array: another order of the
same sum moves small entries by what the large ones round to. Nothing here imports JAX: the
process that compares has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

TOLERANCE = {
    "float64": 1e-5,
    "complex128": 1e-5,
    "float32": 2e-3,
    "complex64": 2e-3,
    "float16": 1e-2,
    "bfloat16": 1e-1,
}
_EIGHT_BITS = 1e-1
Arrays = Sequence["np.ndarray[Any, Any]"]


def differs(found: Arrays, expected: Arrays) -> str:
    """How the results are unlike, as words; empty where they are alike."""
    if len(found) != len(expected):
        return f"{len(found)} arrays for {len(expected)}"
    for at, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        if said := _differs(mine, theirs):
            return f"result {at}, {theirs.shape}: {said}"
    return ""


def _differs(mine: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> str:
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return f"{mine.dtype}{mine.shape} for {theirs.dtype}{theirs.shape}"
    names = theirs.dtype.names  # a type that numpy's files lack: its name, in 32 bits
    name = names[0] if names else str(theirs.dtype)
    if names:
        mine, theirs = mine[name], theirs[name]
    if theirs.dtype.kind in "biu":
        wrong = int(np.count_nonzero(mine != theirs))
        return f"{wrong} of {theirs.size} integers differ" if wrong else ""
    return _apart(mine, theirs, TOLERANCE.get(name, _EIGHT_BITS))


def _apart(mine: Any, theirs: Any, tolerance: float) -> str:
    if not np.array_equal(np.isfinite(mine), np.isfinite(theirs)):
        return "NaN or infinite in other places"
    finite = np.isfinite(theirs)
    if not finite.any():
        return ""
    scale = float(np.abs(theirs[finite]).max())
    most = float(np.abs(mine[finite] - theirs[finite]).max())
    if most <= tolerance * scale:
        return ""
    return f"apart by {most / scale if scale else most:.2g} of the largest, at most {tolerance:g}"
