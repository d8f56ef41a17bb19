"""What people see while a run goes on: a line for each thing that happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

EVERY_S = 30.0  # that nothing happened
_NAMED = 3
Left = TypeVar("Left", bound=Sized)


@dataclass
class Told(Generic[Left]):
    """Says how far the run has come, on stderr; `standing` has words for what is left of it."""

    total: int
    standing: Callable[[Left], str]
    begun: float = field(default_factory=time.monotonic)
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def node(self, name: str, words: str) -> None:
        """A node is done with."""
        self.done += 1
        self.say(f"[{self.done}/{self.total}] {name}: {words}")

    def say(self, words: str) -> None:
        self.last = time.monotonic()
        sys.stderr.write(f"{self.last - self.begun:5.0f} s  {words}\n")
        sys.stderr.flush()

    def waiting(self, left: Left) -> None:
        """What we wait for, now and then."""
        if left and time.monotonic() - self.last > EVERY_S:
            self.say(self.standing(left))


def some(names: Sequence[str]) -> str:
    """The first of many, and how many more there are."""
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
