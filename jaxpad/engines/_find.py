"""Which engine this machine has, and why one that it has cannot be used."""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxpad.engines._engine import Engine
from jaxpad.errors import UsageError


@functools.cache
def kinds() -> tuple[type[Engine], ...]:
    """The engines that the modules of this folder define, those taken unasked first."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")
    found = _named(Engine)  # type: ignore[type-abstract]  # asked for its subclasses alone
    return tuple(sorted(found, key=lambda kind: not kind.unasked))


def _named(base: type[Engine]) -> Iterator[type[Engine]]:
    for kind in base.__subclasses__():
        yield from [kind] if kind.name else []
        yield from _named(kind)


def choices() -> tuple[str, ...]:
    """What --engine takes."""
    return tuple(kind.name for kind in kinds())


def find(name: str | None = None, *, building: bool = False) -> Engine:
    """The engine of that name, else the first of those taken unasked that answers.

    `building` asks for one that can build the Dockerfile: a docker client from 23 on needs
    its buildx plugin. Raises UsageError with the reason and the remedy.
    """
    asked = [kind for kind in kinds() if kind.name == name or (not name and kind.unasked)]
    if not asked:
        raise UsageError(f"--engine {name!r} is not one of {', '.join(choices())}")
    problems = []
    for kind, program in _programs(asked):
        problem = kind.problem(program, building=building)
        if not problem:
            return kind.at(program, _word(program))
        problems.append(problem)
    raise UsageError(problems[0] if problems else _absent(name))


def _absent(name: str | None) -> str:
    missing = f"{name} is not" if name else "neither docker nor podman is"
    return f"{missing} on PATH; install one, then `invoke doctor` says what GPU containers lack"


def _programs(asked: Sequence[type[Engine]]) -> Iterator[tuple[type[Engine], str]]:
    """Every copy on PATH, in its order: the first may be the one that cannot build."""
    for kind in asked:
        for name in kind.programs or (kind.name,):
            for folder in os.environ.get("PATH", "").split(os.pathsep):
                program = shutil.which(name, path=folder) if folder else None
                if program:
                    yield kind, program


def _word(program: str) -> str:
    """The program's bare name where that starts this very copy."""
    name = Path(program).name
    return name if shutil.which(name) == program else program
