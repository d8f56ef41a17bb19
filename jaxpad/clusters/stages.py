"""What each node is asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar


@dataclass(frozen=True)
class Suite:
    """The smoke suite as every node runs it. How bounds get there is the engine's affair."""

    platform: str  # gpu or cpu
    limit: float
    profile: str | None = None  # by a name or path that is true on the nodes
    select: str | None = None
    strict: bool = False
    redact: bool = True

    def words(self, out: Path) -> list[str]:
        """The options of `smoke`, for a report in the folder `out` of the node."""
        words = ["--platform", self.platform, "--limit", f"{self.limit:g}", "--out", str(out)]
        words += ["--profile", self.profile] if self.profile else []
        words += ["-k", self.select] if self.select else []
        words += ["--strict"] if self.strict else []
        return [*words, *([] if self.redact else ["--no-redact"])]


# What people see while a run goes on: a line for each thing that happens.

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
