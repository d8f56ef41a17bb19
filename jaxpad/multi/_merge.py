"""One report from what all processes say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxpad.multi._expected import Expected
from jaxpad.multi._read import Gathered
from jaxpad.multi._record import Record
from jaxpad.multi._report import MultiReport


_ANY = Expected()


def merge(given: Gathered | Sequence[Record] | Path, expected: Expected = _ANY) -> MultiReport:
    """The verdict on a run, and who is to blame: its cause, not its victims."""
    raise NotImplementedError
