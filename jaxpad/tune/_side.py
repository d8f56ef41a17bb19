"""A measuring process, seen from the one that asks."""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxpad import paths
from jaxpad.core import child
from jaxpad.core.temporary import Folder
from jaxpad.errors import UsageError
from jaxpad.flags import complaint
from jaxpad.tune._step import Step

# Two processes on one GPU: neither may take the memory beforehand, which JAX does by default
# (https://docs.jax.dev/en/latest/gpu_memory_allocation.html).
_SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
_SAID = 1 << 20  # bytes of its standard error, in which the complaint is sought
_NOT_OURS = ("XLA_FLAGS", "JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS_APPEND")


class SideError(Exception):
    """A process that crashed, hung, or could not do what it was asked."""


class Side:
    """The baseline's process or a candidate's, in a session of its own, as Ctrl-C is ours."""

    def __init__(self, step: Step, words: tuple[str, ...]) -> None:
        self._step = step
        self.begun = time.monotonic()
        self.seed: int | None = None
        receive, send = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._folder = Folder("tune")
        self._process = child.start(
            child.python("-W", "ignore", "-m", "jaxpad.tune._stepper", str(send)),
            environ=_environ(step, words) | {"TMPDIR": str(self._folder.path)},
            stdin=child.PIPE,
            stdout=child.NOTHING,
            stderr=self._said,
            keep=[send],
        )
        os.close(send)
        self._answers = os.fdopen(receive, "rb", buffering=0)

    def feed(self, seed: int, limit: float) -> dict[str, Any]:
        """Have it make arguments and run twice. Raises SideError, or UsageError for the step."""
        answer = self.ask(
            {
                "ask": "feed",
                "workload": self._step.workload,
                "platform": self._step.platform,
                "seed": seed,
                "file": str(self._file),
            },
            limit,
        )
        self.seed = seed
        return answer

    @property
    def results(self) -> list[np.ndarray[Any, Any]]:
        """What the first call on these arguments gave."""
        with np.load(self._file) as held:
            return [held[name] for name in held.files]

    def turn(self, steps: int, limit: float, cores: Sequence[int] = ()) -> dict[str, Any]:
        """Have it run, on these cores alone if any are named. Raises SideError."""
        return self.ask({"ask": "turn", "steps": steps, "cores": list(cores)}, limit)

    def ask(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a request. Raises SideError, or UsageError for the step."""
        assert self._process.stdin is not None
        try:
            line = f"{json.dumps(dict(request) | {'limit': limit})}\n"
            os.write(self._process.stdin.fileno(), line.encode())
        except BrokenPipeError:
            raise self._death() from None
        answer = self._line(time.monotonic() + limit, limit)
        if "usage" in answer:
            raise UsageError(answer["usage"])
        if "failed" in answer:
            raise SideError(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process and give back all it held."""
        self._process.close()
        self._answers.close()
        self._said.close()
        self._folder.close()

    @property
    def _file(self) -> Path:
        return self._folder.path / "results.npz"

    def _line(self, until: float, limit: float) -> dict[str, Any]:
        parts = b""
        while not parts.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise SideError(f"it did not answer within {limit:.0f} s")
            part = self._answers.read(1 << 16)
            if not part:
                raise self._death()
            parts += part
        found: dict[str, Any] = json.loads(parts)
        return found

    def _death(self) -> SideError:
        code = self._process.wait(child.STUCK_S)
        if code is None:
            return SideError(f"its process {self._process.pid} closed its pipe and does not end")
        self._said.seek(0)
        said = complaint(self._said.read(_SAID).decode(errors="replace"))
        ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return SideError(f"its process ended with {ended}: {said}")


def _environ(step: Step, words: tuple[str, ...]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    kept |= {} if step.platform == "cpu" else _SHARED
    platforms = {"gpu": "cuda"}.get(step.platform, step.platform)
    ours = {"JAX_PLATFORMS": platforms, "XLA_FLAGS": " ".join((*step.baseline, *words))}
    return paths.importable(kept | dict(step.environ)) | ours
