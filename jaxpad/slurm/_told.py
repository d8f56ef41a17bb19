"""What people see while the jobs run: a line for each thing that happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxpad.slurm._follow import Followed

EVERY_S = 30.0  # that nothing happened
_NAMED = 3


@dataclass
class Told:
    """Says how far the run has come, on stderr."""

    total: int
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

    def waiting(self, left: Mapping[str, Followed]) -> None:
        """What we wait for, now and then."""
        if left and time.monotonic() - self.last > EVERY_S:
            self.say(standing(left))


def standing(left: Mapping[str, Followed]) -> str:
    """`waiting: 3 running (n1, n2, n3), 1 pending (n7: Resources)`."""
    pending = {key: one for key, one in left.items() if one.phase == "waiting"}
    running = [key for key in left if key not in pending]
    parts = [f"{len(running)} running ({_some(running)})"] if running else []
    reasons = [f"{key}: {one.seen.reason or 'no reason'}" for key, one in pending.items()]
    parts += [f"{len(pending)} pending ({_some(reasons)})"] if pending else []
    return f"waiting: {', '.join(parts)}"


def _some(names: list[str]) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
