"""Programs that tests start, told apart by what they say: PATH may hold others of that name."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LIMIT_S = 60.0  # for one answer, on a busy machine


@dataclass(frozen=True)
class Tool:
    """A program, or why there is none: `said` is its own line, or what others answered."""

    path: str
    said: str

    def __bool__(self) -> bool:
        return bool(self.path)


@cache
def find(name: str, *asked: str, says: str, path: str | None = None) -> Tool:
    """The first program of that name which answers `asked` with `says` in it.

    Where several lie on PATH (or on `path`), the others are somebody else's.
    """
    others = []
    for program in _named(name, path):
        answer = _answer(program, *asked)
        if says in answer:
            return Tool(program, f"{program}: {answer}")
        others.append(f"{program} answers {answer!r}")
    found = "; ".join(others) or "no such program on PATH"
    return Tool("", f"no {name} that says {says!r} to {' '.join(asked)}: {found}")


def _named(name: str, path: str | None) -> Iterator[str]:
    """Every program of that name, each once, in the order of PATH."""
    seen = set()
    for folder in (os.environ.get("PATH", "") if path is None else path).split(os.pathsep):
        program = shutil.which(name, path=folder) if folder else None
        if program and (real := Path(program).resolve()) not in seen:
            seen.add(real)
            yield program


def _answer(program: str, *asked: str) -> str:
    """The first line that it prints, and that it failed where it did."""
    try:
        done = subprocess.run([program, *asked], capture_output=True, text=True, timeout=LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nothing ({error})"
    first = next(iter((done.stdout + done.stderr).strip().splitlines()), "nothing")
    return f"exit code {done.returncode}" if done.returncode else first
