"""Whether two compiled programs are the same."""

from __future__ import annotations

import enum

from jaxpad.schedule._model import Program


class Same(enum.StrEnum):
    """Whether two programs are the same; unknown where a part could not be read."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def same(one: Program, other: Program) -> Same:
    """Hold two programs' digests to each other, part by part."""
    pairs = [
        (part.digest, other.digest.parts[name].digest) for name, part in one.digest.parts.items()
    ]
    if any(left and right and left != right for left, right in pairs):
        return Same.NO
    return Same.YES if all(left and right for left, right in pairs) else Same.UNKNOWN
