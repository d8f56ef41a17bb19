"""What every engine can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxpad.engines._request import Run


@dataclass(frozen=True)
class Engine(ABC):
    """One program that runs containers.

    A class with a `name` in any module of this folder is an engine: `--engine NAME` finds it.
    """

    program: str  # as found on PATH

    name: ClassVar[str] = ""  # as --engine takes it; a base class of several has none
    programs: ClassVar[Sequence[str]] = ()  # what it is called on PATH, if not as its name
    unasked: ClassVar[bool] = False  # whether it is taken where no engine was asked for
    lists_images: ClassVar[bool] = True  # whether it has `image ls` and `image inspect`
    failed: ClassVar[Sequence[int]] = (125,)  # exit codes: the container could not be started

    @classmethod
    def problem(cls, program: str, *, building: bool) -> str | None:
        """Why this copy of the program cannot be used, None where it can."""
        del program, building
        return None

    @classmethod
    def at(cls, program: str, word: str) -> Engine:
        """The engine of this copy, which `word` starts."""
        del program
        return cls(word)

    @abstractmethod
    def run_argv(self, run: Run) -> list[str]:
        """The command that runs the container in the foreground and ends with its exit code."""
