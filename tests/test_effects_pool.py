"""Workers that die, hang or are killed cost one cell."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from jaxpad.effects import compilation, processes
from jaxpad.effects.model import Cell, Outcome, Task

CELL = Cell("a100-sxm-80", "dense")


def compiled(tasks: list[Task], limit: float = 120) -> dict[Task, Outcome]:
    return dict(compilation.compiled_outcomes(tasks, limit, workers=1))


def test_killed_in_mid_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request's worker is killed while it works; the next has a worker of its own."""
    ask, pids = processes.Child.ask, []

    def killing(self: processes.Child, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        pids.append(self.pid)
        if len(pids) == 1:
            threading.Timer(1, os.kill, (self.pid, signal.SIGKILL)).start()
        return ask(self, request, limit)

    monkeypatch.setattr(processes.Child, "ask", killing)
    tasks = [Task(CELL, {}), Task(CELL, {})]
    found = compiled(tasks)
    assert found[tasks[0]] == Outcome(
        message="the compile's process dies of SIGKILL", lasting=False
    )
    assert found[tasks[1]].program is not None
    assert pids[0] != pids[1]


def test_two_hosts() -> None:
    """NVLink ends at the host, and no description has a network: the model says nothing."""
    (outcome,) = compiled([Task(Cell("h100-sxm", "fsdp-2x8"), {})]).values()
    assert outcome.program is not None
    assert outcome.program.overlap.missing == ("the bandwidth between hosts",)
    assert outcome.program.overlap.exposed is None
    assert any(one.seconds for one in outcome.program.collectives)  # those within a host


def test_too_slow() -> None:
    begun = time.monotonic()
    task = Task(CELL, {})
    found = compiled([task], limit=0.5)[task]
    assert (found.program, found.lasting) == (None, False)
    assert "did not end within 0.5 s" in found.message
    assert time.monotonic() - begun < 20
