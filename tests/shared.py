"""What several tests read and none changes: made once in a run, whichever process asks first."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad.core.results import Report
from jaxpad.report import write
from test_report_samples import SHAPES, trace_of


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder `name`, filled by `make`; the processes of pytest-xdist share it.

    Who comes while it is made waits. One that could not be made is made anew by the next.
    """
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder, made = root / name, root / f"{name}.made"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def written(factory: pytest.TempPathFactory, report: Report) -> Path:
    """The folder of a report of SHAPES, with its trace, as `jaxpad smoke` leaves it."""
    name = next(name for name, shape in SHAPES.items() if shape is report)

    def make(folder: Path) -> None:
        write(report, folder, trace_of(report))

    return once(factory, f"report-{name.replace(' ', '-')}", make)


def site(factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the built wheel's content, as site-packages would, and no more."""

    def make(folder: Path) -> None:
        uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
        where = ["--target", str(folder), "--python", sys.executable]
        subprocess.run([*uv, *where, str(HOME)], check=True)

    return once(factory, "installed", make)


def installed(
    site: Path, folder: Path, *words: str, **added: str
) -> subprocess.CompletedProcess[str]:
    """Run the `jaxpad` of such a folder in another one."""
    argv = [sys.executable, str(site / "bin/jaxpad"), *words]
    variables = environ(PYTHONPATH=str(site), **added)
    return subprocess.run(argv, env=variables, cwd=folder, capture_output=True, text=True)


def base(factory: pytest.TempPathFactory) -> Path:
    """An environment with jaxpad and what it depends on, no extra of it and no pip."""

    def make(folder: Path) -> None:
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        into = ["pip", "install", "--quiet", "--python", str(folder / "bin/python"), str(HOME)]
        subprocess.run([*uv, *into], check=True)

    return once(factory, "base", make)
