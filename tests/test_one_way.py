"""One way for what many need: everything but jaxpad.core starts its children through it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from helpers import HOME

# Before anything is installed; in the Python of an image, by its text alone.
ALONE = ("jaxpad/bootstrap.py", "tools/sbom_collect.py")
FILES = [
    file
    for folder in ("jaxpad", "tools")
    for file in sorted((HOME / folder).rglob("*.py"))
    if file.relative_to(HOME).as_posix() not in ALONE and file.parent != HOME / "jaxpad/core"
]
MODULES = {"subprocess", "multiprocessing", "_posixsubprocess", "pty", "pexpect"}
OF_OS = ("fork", "forkpty", "system", "popen", "startfile")
STARTS = ("exec", "spawn", "posix_spawn")  # execv, spawnlp, posix_spawnp and so on


def starts(text: str) -> list[str]:
    """What in a module's text starts a process, or makes a folder that nobody sweeps."""
    return [found for node in ast.walk(ast.parse(text)) for found in _of(node)]


def _of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names if name.name.partition(".")[0] in MODULES]
    if isinstance(node, ast.ImportFrom):
        base = str(node.module).partition(".")[0]
        called = [f"{base}.{name.name}" for name in node.names if _named(base, name.name)]
        return [base] if base in MODULES else called
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return [f"{node.value.id}.{node.attr}"] if _named(node.value.id, node.attr) else []
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("TemporaryDirectory"):
        beside = any(word.arg == "dir" for word in node.keywords)  # of what it is to replace
        return [] if beside else ["TemporaryDirectory"]
    if isinstance(node, ast.Name) and node.id == "ProcessPoolExecutor":
        return [node.id]
    return []


def _named(base: str, name: str) -> bool:
    if base == "asyncio":
        return name.startswith("create_subprocess")
    if base == "concurrent" or name == "ProcessPoolExecutor":
        return name == "ProcessPoolExecutor"
    return base == "os" and (name in OF_OS or name.startswith(STARTS))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOME)))
def test_starts_children_through_core(file: Path) -> None:
    assert not starts(file.read_text()), "use jaxpad.core.child, forked or temporary"


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "import multiprocessing.pool",
        "from subprocess import run",
        "def f():\n    from subprocess import Popen",
        "import os\nos.fork()",
        "import os\nos.execvp('a', [])",
        "import os\nos.posix_spawn('a', [], {})",
        "from os import system",
        "import asyncio\nasyncio.create_subprocess_exec('a')",
        "from concurrent.futures import ProcessPoolExecutor",
        "import tempfile\ntempfile.TemporaryDirectory(prefix='jaxpad-')",
    ],
)
def test_another_way_is_seen(text: str) -> None:
    assert starts(text)


def test_what_starts_nothing_is_not_taken_for_it() -> None:
    text = "import os\nos.kill(1, 2)\nimport tempfile\ntempfile.TemporaryDirectory(dir='x')"
    assert not starts(text)


# What a job starts in a checkout or apart from its folder; a kernel of Jupyter's; how a run was
# called, for its report.
NAMES_PYTHON = {f"jaxpad/{one}.py" for one in ("clusters/slurm_plan", "cli/launch", "smoke/local")}


def test_a_python_of_ours_is_named_in_one_place() -> None:
    """Whose argv does not come from `child.python` imports from the current folder.

    Not so in tools/, whose current folder is the checkout that it belongs to.
    """
    named = {
        file.relative_to(HOME).as_posix()
        for file in FILES
        if file.is_relative_to(HOME / "jaxpad")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.List | ast.Tuple)
        and any("sys.executable" in ast.unparse(part) for part in node.elts)
    }
    assert named == NAMES_PYTHON


def test_those_apart_are_there() -> None:
    assert all((HOME / name).is_file() for name in ALONE)
