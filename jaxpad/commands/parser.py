"""The `jaxpad` command's words, by argparse, from what the commands declare."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from jaxpad.commands import Command
from jaxpad.commands.options import Option, declared, read, takes_words
from jaxpad.core.results import UsageError
from jaxpad.core.text import did_you_mean


def options_of(command: Command) -> type:
    """The dataclass that a command's options are declared in."""
    module, name = command.options.split(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


def parsed(command: Command, words: Sequence[str], names: Iterable[str] = ()) -> Any:
    """The command's options as typed. `names` are the other commands.

    Raises UsageError, one sentence, for what it does not take; SystemExit 0 after `--help`.
    """
    options = options_of(command)
    mine, behind = _split(words)
    if behind is not None and not takes_words(options):
        raise UsageError(f"{command.name} takes no words behind --; leave them out")
    known = declared(options)
    given, more = _parser(command, known).parse_known_args(_joined(mine, known))
    if more:
        raise UsageError(_unknown(more[0], command, known, names))
    return read(options, vars(given), tuple(behind or ()))


def run(command: Command, options: Any) -> int:
    """Do it, and return the exit code.

    SIGINT, SIGTERM and SIGHUP raise Interrupted in it, once.
    Raises UsageError for a mistake in the options, and where the command's extra is missing.
    """
    from jaxpad.core.lifeline import interruptible  # here: help does without

    elsewhere = any(getattr(options, name) for name in command.unless)
    if command.extra and not elsewhere:
        from jaxpad.core import paths  # here: help does without

        paths.need(command.name, command.extra)
    module, name = command.does.split(":")
    with interruptible():
        return int(getattr(importlib.import_module(module), name)(options))


def _split(words: Sequence[str]) -> tuple[list[str], list[str] | None]:
    if "--" not in words:
        return list(words), None
    at = list(words).index("--")
    return list(words[:at]), list(words[at + 1 :])


def _joined(words: Sequence[str], known: Iterable[Option]) -> list[str]:
    """`--option VALUE` as one word each, so that a value may begin with a dash."""
    takes = {flag for one in known if one.kind != "bool" for flag in _flags(one)}
    flags = {flag for one in known for flag in _flags(one)} | {"--help", "-h"}
    found, at = [], 0
    while at < len(words):
        word, after = words[at], words[at + 1 : at + 2]
        if word in takes and after and after[0].partition("=")[0] not in flags:
            found.append(f"{word}={after[0]}" if word.startswith("--") else f"-{word}={after[0]}")
            at += 2
        else:
            found.append(word)
            at += 1
    return found


def _flags(one: Option) -> tuple[str, ...]:
    return (one.flag,) if one.flag.startswith("--") else (one.flag, f"-{one.flag}")


class _Parser(argparse.ArgumentParser):
    """Whose mistakes are one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError with argparse's message in our words."""
        argument = message.partition("argument ")[2].partition(":")[0].rpartition("/")[2]
        if "expected one argument" in message:
            raise UsageError(f"{argument} needs a value; see {self.prog} --help")
        if "ignored explicit argument" in message:
            raise UsageError(f"{argument} takes no value; see {self.prog} --help")
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser(command: Command, known: Iterable[Option]) -> _Parser:
    made = _Parser(
        prog=f"jaxpad {command.name}",
        description=command.summary,
        epilog=f"Example: {command.example}" if command.example else None,
        usage=f"jaxpad {command.name} [--option VALUE …]",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups: dict[str, Any] = {"options": made}
    for one in known:
        group = groups.get(one.group) or groups.setdefault(
            one.group, made.add_argument_group(one.group)
        )
        told = one.told.replace("%", "%%")
        if one.kind == "bool":
            group.add_argument(*_flags(one), dest=one.name, action="store_true", help=told)
        else:
            group.add_argument(
                *_flags(one), dest=one.name, default="", metavar=one.placeholder, help=told
            )
    return made


def _unknown(word: str, command: Command, known: Iterable[Option], names: Iterable[str]) -> str:
    see = f"see jaxpad {command.name} --help"
    if word.startswith("-"):
        flag = word.partition("=")[0]
        flags = [flag for one in known for flag in _flags(one)]
        return f"unknown option {flag} of {command.name}{did_you_mean(flag, flags)}; {see}"
    if word in names:
        return f"one command at a time: run {command.name} and {word} by themselves"
    return f"unexpected word {word!r} behind {command.name}; {see}"
