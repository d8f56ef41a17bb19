"""One node's report, read without trust."""

from __future__ import annotations

from pathlib import Path

from jaxpad.fleet._open import SMOKE, smoke_of
from jaxpad.fleet._parse import parse
from jaxpad.fleet._refused import Refused
from jaxpad.report import Report


def read_node(file: Path) -> Report:
    """The report in `file`, a smoke.json in a node's folder.

    Raises Refused, a UsageError of one sentence, for a file that is not there, is no plain
    file, is over 16 MiB, or is not what jaxpad writes. Neither the file nor its folder is
    followed if it is a symbolic link; a FIFO or a device is not waited for.
    """
    if file.name != SMOKE:
        raise Refused(f"{file} is no {SMOKE}", f"give the path of a node's {SMOKE}")
    try:
        return parse(smoke_of(str(file.parent)))
    except FileNotFoundError:
        raise Refused(f"there is no {file}") from None
