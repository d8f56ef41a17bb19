"""Reports of nodes, read without trust."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jaxpad.fleet._digest import Digest, Same, digest, keeper
from jaxpad.fleet._open import SMOKE, smoke_of
from jaxpad.fleet._parse import parse
from jaxpad.fleet._refused import Refused
from jaxpad.report import Report

Answer = Digest | Refused | None  # None: there is no report


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


def read(root: str, names: Sequence[str]) -> list[Answer]:
    """What each folder below `root` holds. Raises nothing for a bad report."""
    same = keeper()
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [_one(folder, name, same) for name in names]
    finally:
        os.close(folder)


def _one(folder: int, name: str, same: Same) -> Answer:
    try:
        data = smoke_of(name, folder)
        return digest(name, parse(data), data, same)
    except FileNotFoundError:
        return None
    except Refused as refused:
        return refused
    except Exception as error:  # whatever one report does, the others are merged
        return Refused(f"reading it raised {type(error).__name__}")
