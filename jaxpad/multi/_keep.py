"""Write rank-<i>.json: whole or not at all, so that a reader never sees half of one."""

from __future__ import annotations

import os
from pathlib import Path

from jaxpad.errors import UsageError
from jaxpad.multi import _wire
from jaxpad.multi._record import SCHEMA_VERSION, Record


def text(record: Record) -> str:
    """The record as `read` takes it."""
    return _wire.dump(record, schema=SCHEMA_VERSION)


def folder(path: Path) -> Path:
    """`path` made. Raises UsageError if it cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path} cannot be made: {error.strerror}") from None
    return path


def keep(path: Path, record: Record) -> None:
    """Write the record's file into the folder `path`. Raises OSError."""
    file = path / f"rank-{record.rank}.json"
    part = path / f".{file.name}.{os.getpid()}"
    part.write_text(text(record))
    part.replace(file)
