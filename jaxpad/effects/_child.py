"""One worker process, seen from the one that asks."""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from jaxpad import paths
from jaxpad.core import child
from jaxpad.core.temporary import Folder
from jaxpad.effects._model import Words
from jaxpad.flags import complaint

_STEERING = ("XLA_", "TF_", "JAX_", "JAXPAD_", "CUDA_", "NVIDIA_")
_SAID = 1 << 20  # bytes of its standard error, in which the complaint is sought
# What a program does itself when it goes wrong; anything else came from outside.
_OWN_FAULTS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class DiedError(Exception):
    """The worker ended in the middle of a compile. `lasting` where it will do so again."""

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


class Child:
    """A worker: JAX on CPU with no flags but `words`, in a session of its own.

    So Ctrl-C in a terminal reaches only the parent, which ends it.
    """

    def __init__(self, words: Words = (), module: str = "jaxpad.effects._worker") -> None:
        receive, send = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        # A worker that is killed cannot tidy up; what it was writing goes with this folder.
        self._folder = Folder("effects")
        self._process = child.start(
            child.python("-W", "ignore", "-m", module, str(send)),
            environ=_environ(os.environ, words) | {"TMPDIR": str(self._folder.path)},
            stdin=child.PIPE,
            stdout=child.NOTHING,
            stderr=self._said,
            keep=[send],
        )
        os.close(send)
        self._answers = os.fdopen(receive, "rb", buffering=0)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a request. Raises DiedError where none comes in `limit` seconds."""
        start = os.fstat(self._said.fileno()).st_size
        line = f"{json.dumps(dict(request) | {'limit': limit})}\n"
        try:
            os.write(self._stdin(), line.encode())
        except BrokenPipeError:
            raise self._death(start) from None
        answer = self._line(time.monotonic() + limit)
        if answer is None:
            raise DiedError(f"the compile did not end within {limit:g} s", lasting=False)
        if not answer:
            raise self._death(start)
        found: dict[str, Any] = json.loads(answer)
        return found

    def kill(self) -> None:
        """End the process; whoever waits for its answer is told that it died."""
        self._process.kill()

    def close(self) -> None:
        """End the process and give back all it held."""
        self._process.close()
        self._answers.close()
        self._said.close()
        self._folder.close()

    def _stdin(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _line(self, until: float) -> bytes | None:
        """What came up to the end of a line; empty at the end of the pipe, None if too late."""
        parts: list[bytes] = []
        while not (parts and parts[-1].endswith(b"\n")):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                return None
            part = self._answers.read(1 << 16)
            if not part:
                return b""
            parts.append(part)
        return b"".join(parts)

    def _death(self, start: int) -> DiedError:
        code = self._process.wait(child.STUCK_S)
        if code is None:
            said = f"the compile's process {self.pid} closed its pipe and does not end"
            return DiedError(said, lasting=False)
        self._said.seek(start)
        said = complaint(self._said.read(_SAID).decode(errors="replace"))
        if code >= 0:
            return DiedError(f"the compile's process exits with {code}: {said}", lasting=False)
        name = signal.Signals(-code)
        why = f": {said}" if name in _OWN_FAULTS else ""
        return DiedError(
            f"the compile's process dies of {name.name}{why}", lasting=name in _OWN_FAULTS
        )


def _environ(environ: Mapping[str, str], words: Words) -> dict[str, str]:
    """Nothing that would steer JAX or XLA but what is asked for."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_STEERING)}
    ours = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(words)}
    return paths.importable(kept) | ours
