"""An installed jaxpad brings its suite and its profiles, and works from any folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import shared


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared.site(tmp_path_factory)


def test_smoke_from_any_folder(site: Path, tmp_path: Path) -> None:
    done = shared.installed(site, tmp_path, "smoke", "-k", "temporary", "--profile", "base")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "smoke-report/smoke.json").read_text())
    assert (report["verdict"], report["profile"]) == ("pass", "base")


def test_upkeep_needs_a_checkout(site: Path, tmp_path: Path) -> None:
    done = shared.installed(site, tmp_path, "lint")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "checkout" in done.stderr
