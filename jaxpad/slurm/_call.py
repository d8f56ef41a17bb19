"""Slurm's commands, run: one sentence where they are missing or refuse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from jaxpad.core import child
from jaxpad.errors import UsageError

LIMIT_S = 60.0  # a busy slurmctld may take its time to answer


class Refused(Exception):
    """Slurm said no, or nothing; its own last line is the message."""


def require(program: str = "sbatch") -> None:
    """Raises UsageError where this machine has no Slurm."""
    if not shutil.which(program):
        raise UsageError(
            f"{program} is not on PATH: run this on a machine that submits jobs to the cluster, "
            "such as its login node, or leave out --on slurm to test this machine"
        )


def ask(argv: Sequence[str]) -> str:
    """What the command prints. Raises Refused."""
    # How jaxpad was started here is not how it is started on a node.
    environ = {name: value for name, value in os.environ.items() if name != "JAXPAD_STARTED_AS"}
    try:
        done = child.run(argv, environ=environ, limit_s=LIMIT_S)
    except OSError as error:
        raise Refused(f"{argv[0]} cannot be run: {error.strerror}") from error
    if done.late:
        raise Refused(f"{argv[0]} gave no answer within {LIMIT_S:g} s{done.note}")
    if done.code:
        raise Refused(
            _last(done.err) or _last(done.out) or f"{argv[0]} ended with code {done.code}"
        )
    return done.out


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
