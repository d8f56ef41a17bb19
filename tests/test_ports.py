"""A port drawn is nobody else's."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

import ports


def only(monkeypatch: pytest.MonkeyPatch, *left: int) -> None:
    """Let `free` draw these."""
    monkeypatch.setattr(ports, "RANGE", range(left[0], left[-1] + 1))
    monkeypatch.setattr(ports, "TRIES", len(left))


def test_port_is_drawn_by_one_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody listens on it yet; the next process gets it when this one has ended."""
    script = "import ports; print(ports.free(), flush=True); input()"
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    ) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        only(monkeypatch, port)
        with pytest.raises(AssertionError, match="are all in use"):
            ports.free()
        other.communicate("\n")
    assert ports.free() == port


def test_port_that_somebody_listens_on_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        port = ports.free()
        taken.bind(("localhost", port))
        taken.listen()
        ports._held.pop().close()
        only(monkeypatch, port)
        with pytest.raises(AssertionError, match="are all in use"):
            ports.free()
