"""What a folder of check files holds, read without importing it.

Importing would start what is to be tested: a broken JAX must not hide which checks
there are. A check is a test function at the top level of a `test_*.py` file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jaxpad import extras
from jaxpad.errors import UsageError


@dataclass(frozen=True)
class Check:
    """One question of the suite."""

    file: Path
    name: str
    question: str  # first line of the docstring
    needs_jax: bool  # its file imports JAX, so it shares JAX's process-wide state

    @property
    def node(self) -> str:
        return f"{self.file}::{self.name}"


def collect(*folders: Path) -> tuple[Check, ...]:
    """Every check in the folders, in the order of files' names and lines.

    Of files of one name that of the first folder counts.

    Raises UsageError if there is none, or a file cannot be parsed.
    """
    named = {file.name: file for one in reversed(folders) for file in one.glob("test_*.py")}
    checks = tuple(check for name in sorted(named) for check in _checks(named[name]))
    if not checks:
        places = " or ".join(map(str, folders))
        raise UsageError(f"no checks in {places}: it needs files test_*.py with test functions")
    return checks


def _checks(file: Path) -> list[Check]:
    try:
        tree = ast.parse(file.read_text(), filename=str(file))
    except (OSError, SyntaxError) as error:
        raise UsageError(
            f"cannot read the check file {file}: {error}; mend or remove it"
        ) from error
    needs_jax = any(_imports_jax(node) for node in tree.body)
    return [
        Check(file, node.name, _question(node), needs_jax)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def _imports_jax(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        modules = [node.module or ""]
    else:
        return False
    return any(module.partition(".")[0] in ("jax", "jaxlib", "jaxtyping") for module in modules)


def _question(function: ast.FunctionDef) -> str:
    text = ast.get_docstring(function) or function.name.removeprefix("test_").replace("_", " ")
    return text.splitlines()[0]


def select(checks: Iterable[Check], expression: str | None) -> tuple[Check, ...]:
    """The checks that pytest's `-k` expression names, matched on file and function.

    Raises UsageError if the expression is malformed or names none.
    """
    if not expression:
        return tuple(checks)
    extras.need("smoke -k", "smoke", "pytest")
    from _pytest.mark.expression import Expression  # here: a base install has no pytest

    try:
        wanted = Expression.compile(expression)
    except SyntaxError as error:
        raise UsageError(f"-k {expression!r} is not an expression pytest knows: {error}") from error
    chosen = tuple(check for check in checks if wanted.evaluate(_Matcher(check)))
    if not chosen:
        raise UsageError(f"-k {expression!r} names no check; `--dry-run` without -k lists them all")
    return chosen


@dataclass(frozen=True)
class _Matcher:
    """Whether a word of the expression is part of a check's file or name."""

    check: Check

    def __call__(self, word: str, /, **_: str | int | bool | None) -> bool:
        parts = (self.check.file.name, self.check.name)
        return any(word.lower() in part.lower() for part in parts)
