"""`profile.matrix` as a user runs it, and a seed that is another one with each commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from helpers import HOME, environ

FIXED = 7  # the seed where no commit is known: a copy of the files without git


def of_commit() -> int:
    """The first digits of HEAD, so that one commit draws the same everywhere."""
    argv = ["git", "-c", "safe.directory=*", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(argv, cwd=HOME, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return FIXED
    return int(done.stdout[:8], 16) if done.returncode == 0 else FIXED


def run(*words: str, limit_s: float = 1200, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jaxpad", "profile.matrix", *words],
        env=environ(**variables),
        capture_output=True,
        text=True,
        timeout=limit_s,
    )


def again(*words: str, cache: Path, limit_s: float = 1200) -> subprocess.CompletedProcess[str]:
    """Compile and compare, with nothing kept from before."""
    return run("--check", *words, limit_s=limit_s, XDG_CACHE_HOME=str(cache))


def seconds_and_mib(printed: str) -> tuple[int, int]:
    """What a check says that it took."""
    took = re.search(r"; (\d+) s, at most (\d+) MiB of memory$", printed.strip())
    assert took, printed
    return int(took[1]), int(took[2])
