"""Ports for what tests start later: no other test and no outgoing connection takes them."""

from __future__ import annotations

import random
import socket

RANGE = range(15_000, 32_768)  # from there on Linux hands ports out by itself
TRIES = 100
_held: list[socket.socket] = []  # to the end of this process


def free() -> int:
    """A port that nobody listens on; this process alone gets it from here, while it lives."""
    for port in random.sample(RANGE, TRIES):
        if _unused(port) and _reserved(port):
            return port
    raise AssertionError(f"{TRIES} ports from {RANGE.start} to {RANGE.stop - 1} are all in use")


def _unused(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("", port))
        except OSError:
            return False
    return True


def _reserved(port: int) -> bool:
    """Whether its name is ours: an abstract socket, which leaves no file and goes as we end."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0jaxpad-test-port-{port}")
    except OSError:
        name.close()
        return False
    _held.append(name)
    return True
