"""The training program of a copy, under another name: its tests, lint, and its workload."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = "trainer"
_MIN_SIZE = "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"
_MIN_TIME = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
SOURCE = ROOT / "src" / "{{ package }}"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the package, its tests and this repository's settings for lint."""
    folder = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCE, folder / "src" / NAME, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    tests = (ROOT / "tests" / "test_train.py.jinja").read_text()
    (folder / "tests").mkdir()
    (folder / "tests" / "test_train.py").write_text(tests.replace("{{ package }}", NAME))
    return folder


def in_copy(copy: Path, *words: str) -> str:
    """What `python -m …` says in the copy; it must end well."""
    paths = {"PYTHONPATH": f"{ROOT}:{copy / 'src'}", "MYPYPATH": str(copy / "src")}
    cache = {"JAX_COMPILATION_CACHE_DIR": str(copy / "compiled")}  # its tests train fifteen times
    always = dict.fromkeys((_MIN_SIZE, _MIN_TIME), "-1")
    environ = os.environ | paths | cache | always | {"JAX_PLATFORMS": "cpu"}
    argv = [sys.executable, "-m", *words]
    done = subprocess.run(argv, cwd=copy, env=environ, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_own_tests(copy: Path) -> None:
    """They run with warnings as errors, as pyproject.toml says."""
    said = in_copy(copy, "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert " passed" in said
    assert "skipped" not in said


def test_ruff(copy: Path) -> None:
    in_copy(copy, "ruff", "check", "--no-cache", "--config", f"src=['src','{ROOT}']", ".")
    in_copy(copy, "ruff", "format", "--no-cache", "--check", "src", "tests")


def test_mypy(copy: Path) -> None:
    files = [str(Path("src") / NAME), "tests"]
    in_copy(copy, "mypy", "--strict", "--cache-dir", str(copy / "mypy"), *files)


def test_no_name_inside() -> None:
    """A file without .jinja passes through as it is, so it cannot hold the project's name."""
    files = sorted(SOURCE.glob("*.py"))
    assert files
    for file in files:
        assert "{{" not in file.read_text()
        assert f"import {NAME}" not in file.read_text()
        assert "jaxpad." not in file.read_text().replace("`jaxpad profile.", "")


def test_explained_for_eight(copy: Path) -> None:
    """The shipped FSDP profile acts on the program, compiled for GPUs that are not there."""
    words = ["--profile", "fsdp-hopper", "--gpu", "h100-sxm", "--workload", f"{NAME}.train:step_8"]
    said = in_copy(copy, "jaxpad", "profile.explain", *words)
    assert "all of it: changes:" in said
    assert "of communication exposed instead of" in said
    assert "fatal" not in said
    assert "breaks" not in said
