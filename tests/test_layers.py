"""The package's shape is a rule: data flows one way, and no folder outgrows what a reader sees."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME
from tools import figures

FILES = figures.modules(HOME)
BETWEEN = figures.arrows(FILES)
FOUND = figures.figures(HOME)
MOST_IN_A_FOLDER, MOST_AT_THE_TOP, MOST_FILES, MOST_ARROWS = 15, 6, 220, 800


def package(folder: Path, **files: str) -> Path:
    """A checkout whose package has these modules, `__` for a dot."""
    for name, text in files.items():
        file = folder / "jaxpad" / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        for each in {folder / "jaxpad", file.parent}:
            (each / "__init__.py").touch()
        file.write_text(text)
    return folder


def test_no_circle() -> None:
    assert FOUND.circles == []
    assert FOUND.folder_circles == []


def test_no_folder_is_crowded() -> None:
    assert FOUND.largest_folder[1] <= MOST_IN_A_FOLDER, FOUND.largest_folder
    assert FOUND.top_modules <= MOST_AT_THE_TOP
    assert FOUND.files <= MOST_FILES
    assert FOUND.arrows <= MOST_ARROWS


def test_functions_are_small() -> None:
    assert FOUND.function_median <= 6
    assert FOUND.function_p90 <= 16


def test_core_stands_on_nothing() -> None:
    assert figures.folder_arrows(BETWEEN, FILES)["core"] == frozenset()


def test_users_get_no_maintainers_tools() -> None:
    for name, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").partition(".")[0] not in ("tools", "docs"), name


def test_bootstrap_needs_nothing_installed() -> None:
    assert BETWEEN["jaxpad.bootstrap"] <= {"jaxpad.core", "jaxpad.core.host"}
    assert BETWEEN["jaxpad.core.host"] == frozenset()


def test_every_folder_says_what_it_is() -> None:
    for file in (HOME / "jaxpad").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(file.read_text())), file


def test_a_circle_of_files_is_found(tmp_path: Path) -> None:
    ring = {"a": "from jaxpad.b import x", "b": "def f():\n    from jaxpad import c", "c": ""}
    home = package(tmp_path, **ring)
    assert figures.figures(home).circles == []
    (home / "jaxpad/c.py").write_text("import jaxpad.a")
    assert figures.figures(home).circles == [["jaxpad.a", "jaxpad.b", "jaxpad.c"]]


def test_a_circle_of_folders_is_found(tmp_path: Path) -> None:
    home = package(tmp_path, low__a="", low__b="from jaxpad.high import a", high__a="")
    assert figures.figures(home).folder_circles == []
    package(tmp_path / "ring", low__a="", low__b="from jaxpad.high import a", high__a="")
    found = figures.figures(package(tmp_path / "ring", high__b="from jaxpad.low.a import x"))
    assert found.circles == []
    assert found.folder_circles == [["high", "low"]]
    with pytest.raises(ValueError, match="high, low"):
        figures.rows({"high": frozenset({"low"}), "low": frozenset({"high"})})


def test_rows_and_reduced_arrows() -> None:
    between = {"a": frozenset[str](), "b": frozenset({"a"}), "c": frozenset({"a", "b"})}
    assert figures.rows(between) == [["a"], ["b"], ["c"]]
    assert figures.reduced(between)["c"] == {"b"}


def test_command(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tools.figures", *words]
        return subprocess.run(argv, cwd=HOME, capture_output=True, text=True)

    found = json.loads(run("--json").stdout)
    assert found["files"] == FOUND.files
    assert f"arrows: {FOUND.arrows}\n" in run().stdout
    refused = run(str(tmp_path))
    assert refused.returncode == 2
    assert "has no folder jaxpad/: give a checkout" in refused.stderr
