"""Tasks that somebody added to tasks.py, as `jaxpad NAME`: invoke's, with our refusals."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import re
from collections.abc import Iterator, Sequence

from invoke import Collection, Program
from invoke.exceptions import Exit, ParseError
from invoke.parser import ParserContext

from jaxpad.core.paths import HOME
from jaxpad.core.results import USAGE_ERROR, UsageError
from jaxpad.core.text import did_you_mean


def has(name: str) -> bool:
    """Whether tasks.py has a task of that name."""
    return name in _tasks().task_names


def run(name: str, words: Sequence[str]) -> int:
    """Run the task, and return its exit code.

    Raises UsageError for a name that is none, the nearest ones told, and a wrong option.
    """
    if not has(name):
        near = did_you_mean(name, _tasks().task_names)
        raise UsageError(f"unknown command {name!r}{near}; see jaxpad --help")
    program = _Program(name="jaxpad", binary="jaxpad", namespace=_tasks())
    try:
        program.run(["jaxpad", *words])
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 0
    return 0


class _Program(Program):
    """Bare invoke exits 1 on a mistyped option, which would read as a failed check."""

    def parse_core(self, argv: list[str] | None) -> None:
        with _usage_errors():
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with _usage_errors():
            super().parse_tasks()


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        raise Exit(f"jaxpad: {_refusal(error)}", code=USAGE_ERROR) from error


def _refusal(error: ParseError) -> str:
    """What is wrong with the command line, and what to do; invoke names a command in quotes."""
    unknown = re.match(r"No idea what '(.*)' is!", str(error))
    if unknown is None:
        return f"{error}; see jaxpad --help"
    if unknown[1].startswith("-"):
        return _unknown_option(unknown[1].partition("=")[0], error.context)
    return f"unexpected word {unknown[1]!r}; see jaxpad --help"


def _unknown_option(given: str, context: ParserContext | None) -> str:
    command = context.name if context and context.name else ""
    near = did_you_mean(given, context.flags if context else ())
    see = f"jaxpad {command} --help" if command else "jaxpad --help"
    return f"unknown option {given}{f' of {command}' if command else ''}{near}; see {see}"


@functools.cache
def _tasks() -> Collection:
    spec = importlib.util.spec_from_file_location("tasks", HOME / "tasks.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no tasks.py in {HOME}: install jaxpad again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Collection.from_module(module)
