"""Run outside programs that may be absent, slow or stuck, and never wait for them long."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

LIMIT = 10.0  # seconds; docker, podman and nvidia-ctk answer in well under one


@dataclass(frozen=True)
class Ran:
    """What a program said. `code` is None where `problem` says why it gave no answer."""

    code: int | None = None
    stdout: str = ""
    stderr: str = ""
    problem: str = ""  # "docker is not installed", "docker gave no answer within 10 s"
    installed: bool = True

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
    # Files, not pipes: a grandchild that outlives the program would hold a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            code = _wait((program, *argv[1:]), environ, limit, out, err)
        except OSError as error:
            return Ran(problem=f"{argv[0]} cannot be run: {error.strerror}")
        if code is None:
            return Ran(problem=f"{argv[0]} gave no answer within {limit:g} s")
        return Ran(code, _text(out), _text(err))


def _wait(
    argv: tuple[str, ...],
    environ: Mapping[str, str],
    limit: float,
    out: IO[bytes],
    err: IO[bytes],
) -> int | None:
    """The exit code; None if time ran out."""
    words = dict(environ) | {"LC_ALL": "C"}  # messages are read in English
    process = subprocess.Popen(
        argv, env=words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the program's group; one stuck in the kernel is not waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
