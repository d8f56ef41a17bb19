"""How a process says where it is: each change of its record goes to the one that watches it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxpad.multi import _wire
from jaxpad.multi._disturb import Disturb
from jaxpad.multi._record import Check, End, Record, Stage
from jaxpad.verdict import Verdict


class Teller:
    """The record of this process, kept up to date with its watcher."""

    def __init__(
        self, record: Record, pipe: int, now: Callable[[], float], disturb: Disturb
    ) -> None:
        self.record = record
        self.now = now
        self._pipe = pipe
        self._disturb = disturb

    def tell(self, **changes: Any) -> None:
        """Change the record."""
        self.record = replace(self.record, **changes)
        _write(self._pipe, _wire.dump(self.record).encode() + b"\n")

    def step(self, name: str, detail: str, together: bool = False) -> None:
        """Begin the next step: on one's own, or together with the peers."""
        number = self.record.stage.step + 1
        self.tell(stage=Stage(name, detail, number, self.now(), together))
        self._disturb.at(self.record.stage)

    def check(self, name: str, verdict: Verdict, reason: str, remedy: str = "", **odd: Any) -> None:
        """Answer a question; `odd` and `sure` as a Check has them."""
        self.tell(checks=(*self.record.checks, Check(name, verdict, reason, remedy, **odd)))

    def end(self, how: str, why: str, for_a_peer: bool = False) -> None:
        """Say how it ended."""
        self.tell(end=End(how, why, self.now(), for_a_peer))


def _write(pipe: int, data: bytes) -> None:
    while data:
        data = data[os.write(pipe, data) :]
