"""The invoke tasks, made from what the commands declare: `invoke NAME` is `jaxpad NAME`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from typing import Any

from invoke import Collection, Context, Exit, Task

from jaxpad.commands import Command
from jaxpad.commands.options import Option, declared, read, takes_words
from jaxpad.commands.parser import options_of, run
from jaxpad.core.results import UsageError


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
        try:
            code = run(command, read(options, words, _behind(options)))
        except UsageError as error:
            raise Exit(f"jaxpad: {error}", code=2) from None
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
