"""Compile one workload under one set of options after another, in a process of its own.

Started with the number of a pipe; standard input has one JSON request a line, the pipe gets
one JSON answer a line (plugins print on standard output). The workload is traced and
lowered once. An answer is `program`, `broken` (XLA's message) or `usage`.
"""

from __future__ import annotations

import functools as ft
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from jaxpad import aot, gpus, schedule, workloads
from jaxpad.errors import UsageError

# Several workers share the cores; the program is the same however many threads emit it.
_ONE_CORE = {"xla_gpu_force_compilation_parallelism": 1}
_GRACE = 10  # seconds that a parent has to end this process itself


class _Lowered:
    """A program that is lowered once, in the form `aot.compile_for` asks for."""

    def __init__(self, lowered: jax.stages.Lowered) -> None:
        self._lowered = lowered

    def lower(self) -> jax.stages.Lowered:
        return self._lowered


@ft.lru_cache(maxsize=1)
def _prepared(gpu: str, workload: str) -> tuple[Any, Any, _Lowered]:
    described, wanted = gpus.load(gpu), workloads.load(workload)
    devices = aot.topology(described, wanted.devices)
    program = wanted.program(wanted.mesh(devices.devices))
    return described, devices, _Lowered(program.jitted.lower(*program.args))


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        gpu, devices, lowered = _prepared(request["gpu"], request["workload"])
    except UsageError as error:
        return {"usage": str(error)}
    except Exception as error:  # a workload is anybody's program
        return {"usage": _untraced(request["workload"], error)}
    try:
        return {"program": _compiled(gpu, devices, lowered, request["options"]).to_json()}
    except UsageError as error:
        return {"usage": str(error)}
    except (jax.errors.JaxRuntimeError, schedule.UnreadableError, ValueError) as error:
        return {"broken": str(error)}


def _compiled(gpu: Any, devices: Any, lowered: _Lowered, options: Any) -> schedule.Program:
    with tempfile.TemporaryDirectory(prefix="jaxpad-effects-") as folder:
        dumping = _ONE_CORE | dict(options) | {"xla_dump_to": folder}
        begun = time.monotonic()
        compiled = aot.compile_for(gpu, lowered, (), devices=devices, compiler_options=dumping)
        took = time.monotonic() - begun
        found = schedule.read(compiled.runtime_executable(), gpu, Path(folder), seconds=took)
    jax.clear_caches()  # else every executable stays in memory
    return found


def _untraced(workload: str, error: Exception) -> str:
    said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
    return f"{workload} does not trace ({type(error).__name__}: {said}); mend it there"


def _serve(pipe: int) -> None:
    with os.fdopen(pipe, "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            signal.alarm(int(request["limit"]) + _GRACE)  # ends a hang that nobody waits for
            answers.write(f"{json.dumps(_answer(request))}\n")
            answers.flush()
            signal.alarm(0)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
