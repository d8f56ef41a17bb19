"""What people see while the pods run: a line for each thing that happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxpad.kubernetes._judge import Followed

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

    def waiting(self, left: Mapping[int, Followed]) -> None:
        """What we wait for, now and then."""
        if left and time.monotonic() - self.last > EVERY_S:
            self.say(standing(left))


def standing(left: Mapping[int, Followed]) -> str:
    """`waiting: 2 running (n1, n2), 1 not yet (pod-7: Unschedulable: …)`."""
    pods = {index: one.pod for index, one in left.items()}
    running = [pod.node for pod in pods.values() if pod and pod.phase == "Running"]
    others = {i: pod for i, pod in pods.items() if pod is None or pod.phase != "Running"}
    reasons = [f"pod-{i}: {(pod and pod.why) or 'no reason given'}" for i, pod in others.items()]
    parts = [f"{len(running)} running ({_some(running)})"] if running else []
    parts += [f"{len(others)} not yet ({_some(reasons)})"] if others else []
    return f"waiting: {', '.join(parts)}"


def _some(names: list[str]) -> str:
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])
