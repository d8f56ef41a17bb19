"""Keep what XLA merely notes off standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from jaxpad.flags._ask import is_notice


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Drop the notices that JAX's CUDA plugin writes while it is imported; pass on the rest.

    It says on every machine without a GPU that there is none, three times, before XLA's logging
    can be told to be quiet. What else is written comes out at the end.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            _pass_on(said)


def _pass_on(said: IO[bytes]) -> None:
    said.seek(0)
    for line in said:
        if not is_notice(line.decode(errors="replace")):
            os.write(2, line)
