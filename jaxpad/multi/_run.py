"""`jaxpad multi`: what each process of a job runs."""

from __future__ import annotations

import os
from collections.abc import Mapping

from jaxpad.multi._disturb import Disturb
from jaxpad.multi._options import Options
from jaxpad.multi._read import MARK

__all__ = ["MARK", "main"]


_NONE = Disturb()


def main(
    options: Options, environ: Mapping[str, str] = os.environ, disturb: Disturb = _NONE
) -> int:
    """Run this process's part and return its exit code: 0, 1, 3.

    Raises UsageError where this is no process of a job, or an option is none.
    """
    raise NotImplementedError
