"""An installed jaxpad brings its suite and its profiles, and works from any folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the built wheel's content, as site-packages would."""
    target = tmp_path_factory.mktemp("site")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    where = ["--target", str(target), "--python", sys.executable]
    subprocess.run([*uv, *where, str(HOME)], check=True)
    return target


def jaxpad(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(site / "bin/jaxpad"), *arguments]
    return subprocess.run(
        argv, env=environ(PYTHONPATH=str(site)), cwd=folder, capture_output=True, text=True
    )


def test_smoke_from_any_folder(installed: Path, tmp_path: Path) -> None:
    done = jaxpad(installed, tmp_path, "smoke", "-k", "temporary", "--profile", "base")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "smoke-report/smoke.json").read_text())
    assert (report["verdict"], report["profile"]) == ("pass", "base")


def test_upkeep_needs_a_checkout(installed: Path, tmp_path: Path) -> None:
    done = jaxpad(installed, tmp_path, "lint")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "checkout" in done.stderr
