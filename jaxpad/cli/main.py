"""The `jaxpad` command: the tasks of tasks.py, with the exit codes the docs promise."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator

from invoke import Collection, Program
from invoke.exceptions import Exit, ParseError
from invoke.parser import ParserContext

import jaxpad
from jaxpad.core.paths import HOME
from jaxpad.core.results import USAGE_ERROR, Verdict
from jaxpad.core.text import did_you_mean

# What tools/tasks.py adds in a checkout.
CHECKOUT_ONLY = ("audit", "docs", "lint", "lock", "sbom", "site", "test")


def main() -> int:
    """Run the command line: 0 passed, 1 a check failed, 2 usage error, 3 inconclusive.

    A bug of jaxpad's own shows its traceback and is 3: it proves nothing about the machine.
    """
    try:
        _Program(
            name="jaxpad", binary="jaxpad", version=jaxpad.__version__, namespace=_tasks()
        ).run(sys.argv)
    except Exception:
        traceback.print_exc()
        return 0 if _is_hook() else Verdict.INCONCLUSIVE.exit_code
    return 0


class _Program(Program):
    """Bare invoke exits 1 on a mistyped option, which would read as a failed check."""

    def parse_core(self, argv: list[str] | None) -> None:
        with _usage_errors():
            super().parse_core(argv)

    def parse_collection(self) -> None:
        with _usage_errors():
            super().parse_collection()

    def parse_tasks(self) -> None:
        with _usage_errors():
            super().parse_tasks()


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        raise Exit(f"jaxpad: {_refusal(error)}", code=_usage_code()) from error


def _refusal(error: ParseError) -> str:
    """What is wrong with the command line, and what to do; invoke names a command in quotes."""
    unknown = re.match(r"No idea what '(.*)' is!", str(error))
    if unknown is None:
        return f"{error}; see jaxpad --list"
    if unknown[1].startswith("-"):
        return _unknown_option(unknown[1].partition("=")[0], error.context)
    if unknown[1] in CHECKOUT_ONLY:
        return f"{unknown[1]} works in a checkout of jaxpad, and this one is installed"
    return f"unknown command {unknown[1]!r}{did_you_mean(unknown[1], _names())}; see jaxpad --list"


def _unknown_option(given: str, context: ParserContext | None) -> str:
    command = context.name if context and context.name else ""
    near = did_you_mean(given, context.flags if context else ())
    see = f"jaxpad {command} --help" if command else "jaxpad --help"
    return f"unknown option {given}{f' of {command}' if command else ''}{near}; see {see}"


def _names() -> tuple[str, ...]:
    return tuple(_tasks().task_names)


def _usage_code() -> int:
    """2, but what Nagios reads as unknown where it asks: to it 2 is a fault of the node.

    Slurm drains the node of a prolog that fails, so a slip in slurm.conf would drain them all.
    """
    if _is_hook():
        return 0
    return Verdict.INCONCLUSIVE.exit_code if "--nagios" in sys.argv else USAGE_ERROR


def _is_hook() -> bool:
    """Whether this is `health --hook`, which fails only for a fault that was seen."""
    return any(word.partition("=")[0] == "--hook" for word in sys.argv)


def _tasks() -> Collection:
    spec = importlib.util.spec_from_file_location("tasks", HOME / "tasks.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no tasks.py in {HOME}: install jaxpad again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Collection.from_module(module)
