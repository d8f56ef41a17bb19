"""The invoke tasks, made from what the commands declare: `invoke NAME` is `jaxpad NAME`."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from invoke import Collection, Context, Exit, Program, Task
from invoke.exceptions import ParseError
from invoke.parser import ParserContext

from jaxpad.commands import Command, session
from jaxpad.commands.options import Option, declared, read, takes_words
from jaxpad.commands.parser import options_of, run
from jaxpad.core.paths import HOME
from jaxpad.core.results import USAGE_ERROR, UsageError
from jaxpad.core.text import did_you_mean


def collection(commands: Iterable[Command]) -> Collection:
    """The tasks, those with a dot in a collection of their own: `profile.list`."""
    made = Collection()
    for command in commands:
        group, _, name = command.name.rpartition(".")
        if group and group not in made.collections:
            made.add_collection(Collection(group))
        (made.collections[group] if group else made).add_task(task(command, name))
    return made


def task(command: Command, name: str) -> Task[Any]:
    """The command as a task without the one-letter options invoke would make up."""
    options = options_of(command)
    known = declared(options)

    def body(_c: Context, **words: Any) -> None:
        session.own_streams()
        try:
            code = run(command, read(options, words, _behind(options)))
        except UsageError as error:
            raise Exit(session.refusal(error).rstrip(), code=USAGE_ERROR) from None
        except KeyboardInterrupt as error:
            code = session.interrupted(error)
        session.settle()
        raise Exit(code=code)

    body.__doc__, body.__name__ = command.summary, name
    body.__signature__ = _signature(known)  # type: ignore[attr-defined]
    helps = {one.name.replace("_", "-"): one.told for one in known}
    return Task(body, name=name, auto_shortflags=False, help=helps)


def _signature(known: Iterable[Option]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = (
        inspect.Parameter(one.name, kind, default=False if one.kind == "bool" else "")
        for one in known
    )
    return inspect.Signature([inspect.Parameter("_c", kind), *given])


def _behind(options: type) -> tuple[str, ...]:
    """The words behind `--`, as they were typed: invoke would join them."""
    if not takes_words(options) or "--" not in sys.argv:
        return ()
    return tuple(sys.argv[sys.argv.index("--") + 1 :])


# Tasks that somebody added to tasks.py, as `jaxpad NAME`: invoke's, with our refusals.


def has_task(name: str) -> bool:
    """Whether tasks.py has a task of that name."""
    return name in _tasks().task_names


def run_task(name: str, words: Sequence[str]) -> int:
    """Run the task, and return its exit code.

    Raises UsageError for a name that is none, the nearest ones told, and a wrong option.
    """
    if not has_task(name):
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
