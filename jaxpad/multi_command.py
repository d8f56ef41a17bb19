"""The `multi` command: this process's part of a run, or the merge of an earlier one."""

from __future__ import annotations

from jaxpad import multi
from jaxpad.multi import Options

__all__ = ["Options", "multi_command"]


def multi_command(options: Options) -> int:
    """Run this process's part and return its exit code."""
    return multi.main(options)
