"""What a folder of check files holds, read without importing it.

Importing would start what is to be tested: a broken JAX must not hide which checks
there are. A check is a test function at the top level of a `test_*.py` file.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad.core import paths
from jaxpad.core.results import CheckResult, Report, UsageError
from jaxpad.health import Roots
from jaxpad.machine.devices import Expectation
from jaxpad.nvml import Trace


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

    @property
    def id(self) -> str:
        """As its result has it."""
        return f"{self.file.name}::{self.name}"


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
        tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    except (OSError, SyntaxError) as error:
        raise UsageError(f"cannot read the check file {file}: {error}; fix or remove it") from error
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
    paths.need("smoke -k", "smoke", "pytest")
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


# What a smoke run is asked to do, and who follows it.

LIMIT = 180.0  # seconds one check may take; a first GPU compile with autotuning takes many


@dataclass(frozen=True)
class Plan:
    """What to run, and how."""

    checks: tuple[Check, ...]
    environ: Mapping[str, str]  # as the checks are to find it, profile applied
    origins: tuple[tuple[str, str, str], ...] = ()  # (flag, value, origin) of each XLA flag
    command: tuple[str, ...] = ()
    requested: str = "auto"
    profile: str | None = None
    limit: float = LIMIT
    thresholds: str | None = None  # a file that changes bounds
    strict: bool = False  # a shortfall that is explained fails, too
    expect: int | None = None  # how many GPUs there should be
    allow: tuple[str, ...] = ()  # variables that may change what JAX means
    names: bool = False  # keep the names of processes
    notes: tuple[str, ...] = ()  # what is the project's and not the shipped one
    roots: Roots = field(default_factory=Roots)  # tests lay out a machine


@dataclass(frozen=True)
class Watcher:
    """Who is told of progress."""

    expected: Callable[[Expectation], None] = lambda _: None  # before JAX is started
    settling: Callable[[], None] = lambda: None  # until the GPUs are at rest
    started: Callable[[Check], None] = lambda _: None
    finished: Callable[[CheckResult], None] = lambda _: None
    # The report so far, what the sampler has seen, and whether it is the last of the run.
    checked: Callable[[Report, Trace | None, bool], None] = lambda *_: None
