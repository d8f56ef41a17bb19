"""The release's own scripts, run here as far as they need no registry."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import githubs
import jaxpad
from helpers import HOME, environ

RELEASE = githubs.GITHUB / "workflows/release.yml"
DATED = f"## [{jaxpad.__version__}] - 2026-11-25\n"
NOTES = "# Changelog\n\n## [9.9.9] - unreleased\n\nnew\n\n" + DATED + "\n### Added\n\n- a thing\n"
OLDER = "\n## [0.0.1] - 2026-01-01\n\nold\n"


def bash(script: str, folder: Path, **added: str) -> subprocess.CompletedProcess[str]:
    """As GitHub runs a step: https://docs.github.com/actions/reference/workflow-syntax (shell)."""
    argv = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    there = environ(**added)
    return subprocess.run(argv, cwd=folder, env=there, capture_output=True, text=True, check=False)


def compare(folder: Path, tag: str, changelog: str) -> subprocess.CompletedProcess[str]:
    (folder / "CHANGELOG.md").write_text(changelog)
    script = githubs.step(RELEASE, "Compare")
    return bash(script, folder, GITHUB_REF_NAME=tag, GITHUB_OUTPUT=str(folder / "output"))


def test_release_of_the_version(tmp_path: Path) -> None:
    done = compare(tmp_path, f"v{jaxpad.__version__}", NOTES)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == f"version={jaxpad.__version__}\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "said"),
    [
        ("v9.9.9", NOTES, f"the tag is v9.9.9 and jaxpad.__version__ is {jaxpad.__version__}"),
        (f"v{jaxpad.__version__}", NOTES.replace("2026-11-25", "unreleased"), "has no date for"),
    ],
)
def test_release_refused(tmp_path: Path, tag: str, changelog: str, said: str) -> None:
    done = compare(tmp_path, tag, changelog)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "output").exists()


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """The folder after the last step, with a `gh` that writes down its arguments."""
    for name in ("files", "docs", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "LICENSE").write_text("licence")
    (tmp_path / "docs/licences.md").write_text("licences")
    (tmp_path / "files/jaxpad.cdx.json").write_text("{}")
    (tmp_path / "CHANGELOG.md").write_text(NOTES + OLDER)
    double = tmp_path / "bin/gh"
    double.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > called\n')
    double.chmod(0o755)
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    words = {"PATH": path, "VERSION": jaxpad.__version__, "GITHUB_REF_NAME": "v0"}
    done = bash(githubs.step(RELEASE, "Release"), tmp_path, **words)
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_release_notes_are_this_versions(released: Path) -> None:
    assert (released / "notes.md").read_text().strip() == "### Added\n\n- a thing"


def test_release_has_its_files(released: Path) -> None:
    called = (released / "called").read_text().splitlines()
    assert called[:4] == ["release", "create", "v0", "--verify-tag"]
    assert called[-3:] == ["files/LICENSE", "files/jaxpad.cdx.json", "files/licences.md"]


def test_release_bakes_what_is_there() -> None:
    bake = (HOME / "docker/docker-bake.hcl").read_text()
    script = githubs.step(RELEASE, "Build and push")
    targets = re.findall(r"--set \"([a-z-]+)\.tags=", script)
    assert targets == ["workspace-release", "jupyter-release"]
    assert f'targets = ["{targets[0]}", "{targets[1]}"]' in bake
    assert script.split()[-1] == "release"
    for name in ("VERSION", "BASE", "CUDA", "SOURCE_DATE_EPOCH"):
        assert f'variable "{name}"' in bake


def test_release_is_proven_first() -> None:
    """By what no commit has the time for, which is not among the usual tests."""
    jobs = githubs.load(RELEASE.read_text())["jobs"]
    script = githubs.step(RELEASE, "Compile and search")
    assert script.splitlines()[-1] == ".venv-dev/bin/python -m pytest tests/release"
    assert "proof" in jobs["build"]["needs"]
    assert sorted((HOME / "tests/release").glob("test_*.py"))
    usual = tomllib.loads((HOME / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert "release" in usual["norecursedirs"]


def test_release_publishes_what_was_built() -> None:
    """The tags that are put together are those that were pushed."""
    jobs = githubs.load(RELEASE.read_text())["jobs"]
    build, publish = (jobs[name]["strategy"]["matrix"] for name in ("build", "publish"))
    assert build["cuda"] == publish["cuda"]
    script = githubs.step(RELEASE, "One tag for both architectures")
    assert re.findall(r"\$NAME-(\w+)", script) == build["arch"]
    assert "-wheels-cuda" in jobs["publish"]["env"]["NAME"]
