"""A file that is there whole or not at all, whoever reads it meanwhile."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(file: Path, text: str) -> None:
    """Put the text in a file beside it, which then takes its place; everybody may read it.

    Raises OSError where that cannot be; what was there before stays, and nothing else.
    """
    # Not the file's own ending, lest a collector that goes by endings reads it unfinished.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as unfinished:
            unfinished.write(text)
            unfinished.flush()
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
