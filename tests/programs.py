"""Programs that tests start: several of one name may lie on PATH, told apart by what they say."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jaxpad.bootstrap import BROWSERS

LIMIT_S = 60.0  # for one answer, on a busy machine
SBIN = "/usr/sbin:/sbin"  # Debian keeps daemons where not everyone's PATH looks
PLAIN = ("cc", "debootstrap", "slurmd", "git")  # named without their version


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


def docker() -> str:
    """The docker client that can build: the distribution's own, wherever another lies on PATH."""
    distribution = "/usr/bin/docker"
    return distribution if Path(distribution).exists() else shutil.which("docker") or "docker"


def found(name: str) -> str | None:
    """Where a program lies, a daemon too."""
    return shutil.which(name, path=everywhere())


def everywhere() -> str:
    """PATH, and where daemons lie."""
    return f"{os.environ.get('PATH', '')}:{SBIN}"


def browser() -> str | None:
    """The distribution's Chromium; where there is none, tests open the one Playwright brings."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def report() -> list[str]:
    """What pytest prints before the tests: each program's path, and the version of engines."""
    first, meant = shutil.which("docker"), docker()
    other = [f"not {first} ({_version_of(first)})"] if first and first != meant else []
    words = [f"{meant} ({_version_of(meant)})", *other, f"dockerd: {found('dockerd')}"]
    podman = found("podman")
    words += [f"podman: {podman} ({_version_of(podman)})" if podman else "podman: None"]
    plain = [f"{name}: {found(name)}" for name in PLAIN]
    return [
        f"docker: {', '.join(words)}",
        ", ".join([f"chromium: {browser() or 'that of Playwright'}", *plain]),
    ]


def _version_of(program: str) -> str:
    """The version in a line such as `Docker version 20.10.24, build 297e128`."""
    answer = _answer(program, "--version")
    words = answer.partition("version ")[2].split()
    return words[0].rstrip(",") if words else f"answers {answer!r}"
