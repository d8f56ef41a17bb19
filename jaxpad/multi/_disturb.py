"""What a test does to a process. Nothing outside a test can ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxpad.multi._record import Identity, Stage


@dataclass(frozen=True)
class Disturb:
    """Hooks; each does nothing unless a test says otherwise."""

    identity: Callable[[Identity], Identity] = lambda true: true
    clock_s: float = 0.0  # added to what the clock says
    at: Callable[[Stage], None] = lambda _: None  # when a step begins: end, hang, sleep
    result: Callable[[str, Any], Any] = lambda _, true: true  # of a collective, by its kind
    call: Callable[[], None] = lambda: None  # before every timed collective
