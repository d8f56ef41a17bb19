"""Run outside programs that may be absent, slow or stuck, and never wait for them long."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxpad.core import child

LIMIT = 10.0  # seconds; docker, podman and nvidia-ctk answer in well under one
_STUCK_S = 1.0  # one that is stuck in the kernel is not waited for


@dataclass(frozen=True)
class Ran:
    """What a program said. `code` is None where `problem` says why it gave no answer."""

    code: int | None = None
    stdout: str = ""
    stderr: str = ""
    problem: str = ""  # "docker is not installed", "docker gave no answer within 10 s"
    installed: bool = True
    note: str = ""  # that it was left behind, as part of a sentence

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def why(self) -> str:
        """Why it is not ok, in one line: the problem, or what the program wrote last."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines()]
        said = next((line for line in lines if line), f"exit code {self.code}")
        return self.problem or said


Run = Callable[..., Ran]


def runner(environ: Mapping[str, str], limit: float = LIMIT) -> Run:
    """A function that runs a program once for each argv, found on `environ`'s PATH."""

    @functools.cache
    def run(*argv: str) -> Ran:
        return run_program(argv, environ, limit)

    return run


def run_program(argv: tuple[str, ...], environ: Mapping[str, str], limit: float) -> Ran:
    """Run `argv` under `environ` for `limit` seconds at most; its children end with it."""
    program = shutil.which(argv[0], path=environ.get("PATH", os.defpath))
    if program is None:
        return Ran(problem=f"{argv[0]} is not installed", installed=False)
    words = dict(environ) | {"LC_ALL": "C"}  # messages are read in English
    try:
        ran = child.run((program, *argv[1:]), environ=words, limit_s=limit, stuck_s=_STUCK_S)
    except OSError as error:
        return Ran(problem=f"{argv[0]} cannot be run: {error.strerror}")
    if ran.late:
        late = f"{argv[0]} gave no answer within {limit:g} s{ran.note}"
        return Ran(problem=late, note=ran.note)
    return Ran(ran.code, ran.out, ran.err)
