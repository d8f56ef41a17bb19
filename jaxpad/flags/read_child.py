"""Read XLA_FLAGS with the real parser, in a process of its own. Imports jaxlib, not JAX.

Standard input: a JSON list of flag strings. Standard output: for each, in order, the
serialised CompileOptions in hex (empty where XLA refused), and what XLA said.
XLA parses the variable once in a process, so each string gets a fork.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile

from jaxlib import xla_client

from jaxpad.core import lifeline

_SECONDS = 30  # for one string; the parser needs milliseconds


def _read(text: str) -> tuple[str, str]:
    receive, send = os.pipe()
    with tempfile.TemporaryFile() as said:
        child = lifeline.fork(lambda: _answer(text, send, said.fileno()))
        os.close(send)
        with os.fdopen(receive, "rb") as pipe:
            options = pipe.read()
        os.waitpid(child.pid, 0)
        child.close()
        said.seek(0)
        return options.hex(), said.read().decode(errors="replace")


def _answer(text: str, send: int, said: int) -> None:
    """In the fork: XLA exits or aborts here if it refuses the string."""
    os.dup2(said, 1)  # a fork that hangs must not keep the parent's pipes open
    os.dup2(said, 2)
    signal.alarm(_SECONDS)
    os.environb[b"XLA_FLAGS"] = os.fsencode(text)
    os.write(send, xla_client.CompileOptions().SerializeAsString())


if __name__ == "__main__":
    json.dump([_read(text) for text in json.load(sys.stdin)], sys.stdout)
