"""The clock: batches of calls, waited for once a batch.

A call on a GPU returns before the GPU is done, and dispatching takes tens of microseconds.
Calls are dispatched ahead of the device, a few at a time so that their results fit its
memory, and a batch lasts long enough that its end counts for little
(https://docs.jax.dev/en/latest/benchmarking.html). A CPU may run independent calls beside
each other, so there each is waited for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

BATCH_S = {"gpu": 0.05, "cpu": 0.02}  # the least a batch lasts
_AHEAD = {"gpu": 4, "cpu": 1}  # calls in flight
WARM_UP = 2  # calls before the timed ones; the first compiles


@dataclass(frozen=True)
class Batch:
    """Calls of a program, and when they began and were done by the monotonic clock."""

    calls: int
    start_s: float
    stop_s: float

    @property
    def seconds(self) -> float:
        """Of all the calls."""
        return self.stop_s - self.start_s


@dataclass(frozen=True)
class Clock:
    """Runs one program's calls on one device, or on all as one.

    `held_up` is told when a batch began, before its end is taken: a disturbance of a test.
    """

    step: Callable[[int], Any]
    platform: str
    held_up: Callable[[float], None] = lambda _: None

    def batch(self, calls: int) -> Batch:
        """Dispatches `calls` calls and waits for the last."""
        ahead: deque[Any] = deque()
        begun = time.monotonic()
        for call in range(calls):
            ahead.append(self.step(call))
            if len(ahead) >= _of(_AHEAD, self.platform):
                jax.block_until_ready(ahead.popleft())
        jax.block_until_ready(list(ahead))
        self.held_up(begun)
        return Batch(calls, begun, time.monotonic())

    def warm(self) -> int:
        """Compiles, warms up, and finds how many calls fill a batch."""
        self.batch(WARM_UP)
        wanted = _of(BATCH_S, self.platform)
        calls = 1
        while True:
            seconds = self.batch(calls).seconds
            if seconds >= 0.7 * wanted:
                return calls
            calls = max(calls + 1, min(10 * calls, round(calls * wanted / seconds)))


def _of(table: dict[str, Any], platform: str) -> Any:
    return table.get(platform, table["gpu"])
