"""The `jaxpad` command: what is declared in jaxpad.commands, with the docs' exit codes.

A task that somebody added to tasks.py, of the checkout or of a project made from jaxpad, is a
command, too. Light until it is known what to do: `jaxpad --help` imports no invoke.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

import jaxpad
from jaxpad.commands import COMMANDS, Command, overview, session

# What tools/commands.py adds in a checkout.
CHECKOUT_ONLY = ("audit", "docs", "lint", "lock", "sbom", "site", "test")
_HELP = ("-h", "--help", "-l", "--list")
# What Linux refuses for its length alone (execve(2), path_resolution(7)).
_TOO_MUCH = {
    errno.E2BIG: "the words and variables are more than a program can be given: shorten the "
    "longest, as XLA_FLAGS",
    errno.ENAMETOOLONG: "what was given as a file's name is too long for one: shorten it",
}
_VERSION = ("-V", "--version")


def main() -> int:
    """Run the command line: 0 passed, 1 a check failed, 2 usage error, 3 inconclusive.

    128 + N where signal N ended it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    A bug of jaxpad's own shows its traceback and is 3: it proves nothing about the machine.
    """
    try:
        session.own_streams()
        return _guarded(sys.argv[1:])
    except KeyboardInterrupt as error:
        return session.interrupted(error)
    finally:
        session.settle()


def _guarded(words: list[str]) -> int:
    try:
        return _run(words)
    except Exception as error:
        from jaxpad.core.results import UsageError, Verdict  # here: help does without

        if isinstance(error, UsageError):
            return _refused(error, words)
        if isinstance(error, OSError) and error.errno in _TOO_MUCH:
            return _refused(UsageError(_TOO_MUCH[error.errno]), words)
        traceback.print_exc()
        return 0 if _is_hook(words) else Verdict.INCONCLUSIVE.exit_code


def _run(words: list[str]) -> int:
    first, more = (words[0], words[1:]) if words else ("--help", [])
    if first in _VERSION:
        sys.stdout.write(f"jaxpad {jaxpad.__version__}\n")
        return 0
    if first in _HELP:
        return _help(more)
    command = _named(first)
    if command:
        return _command(command, more)
    return _task(first, words)


def _named(name: str) -> Command | None:
    own = COMMANDS if name not in CHECKOUT_ONLY else _commands()
    return next((one for one in own if one.name == name), None)


def _help(more: Sequence[str]) -> int:
    """The overview, or after `--help NAME` that command's own help."""
    command = _named(more[0]) if more else None
    if command:
        return _command(command, ["--help"])
    sys.stdout.write(overview(_commands()))
    return 0


def _command(command: Command, words: Sequence[str]) -> int:
    from jaxpad.commands import parser

    names = {one.name for one in _commands()}
    return parser.run(command, parser.parsed(command, words, names))


def _commands() -> tuple[Command, ...]:
    """All of them, with those that a checkout adds."""
    home = os.path.dirname(os.path.dirname(os.path.abspath(jaxpad.__file__)))  # noqa: PTH100, PTH120 - help comes before pathlib has been imported
    if not os.path.isfile(f"{home}/tools/commands.py"):  # noqa: PTH113
        return COMMANDS
    if home not in sys.path:
        sys.path.append(home)  # last: a project may have a folder of that name
    from importlib import import_module  # by its name: what users install has no such folder

    return (*COMMANDS, *import_module("tools.commands").COMMANDS)


def _task(name: str, words: Sequence[str]) -> int:
    """A task of tasks.py that is not one of jaxpad's commands. Raises UsageError for none."""
    from jaxpad.core.results import UsageError

    if name.startswith("-"):
        raise UsageError(f"unknown option {name}; see jaxpad --help")
    from jaxpad.commands import tasks

    if name in CHECKOUT_ONLY and not tasks.has_task(name):
        raise UsageError(f"{name} works in a checkout of jaxpad, and this one is installed")
    return tasks.run_task(name, words)


def _refused(error: Exception, words: Sequence[str]) -> int:
    """A usage error as the caller can read it, and its exit code.

    2, but what Nagios reads as unknown where it asks: to it 2 is a fault of the node. And 0 for
    a hook: Slurm drains the node of a prolog that fails, so a slip in slurm.conf would drain
    them all.
    """
    from jaxpad.core.results import USAGE_ERROR

    if _is_hook(words):
        from jaxpad.cli.health_hook import warn

        warn(str(error))
        return 0
    if "--nagios" in words:
        from jaxpad.cli.health import unknown

        return unknown(str(error))
    sys.stderr.write(session.refusal(error))
    return USAGE_ERROR


def _is_hook(words: Sequence[str]) -> bool:
    """Whether this is `health --hook`, which fails only for a fault that was seen."""
    return any(word.partition("=")[0] == "--hook" for word in words)
