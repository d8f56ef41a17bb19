"""Compile one workload under one set of options after another, in a process of its own.

Started with the number of a pipe; standard input has one JSON request a line, the pipe gets
one JSON answer a line (plugins print on standard output). The workload is traced and
lowered once. An answer is `program`, `broken` (XLA's message) or `usage`.
"""

from __future__ import annotations

import functools as ft
import sys
import time
from dataclasses import dataclass
from typing import Any

import jax

from jaxpad import gpus, schedule, workloads
from jaxpad.core.files import Folder
from jaxpad.core.results import UsageError
from jaxpad.effects.processes import serve
from jaxpad.schedule import aot

# Several workers share the cores; the program is the same however many threads emit it.
_ONE_CORE = {"xla_gpu_force_compilation_parallelism": 1}


@dataclass(frozen=True)
class _Prepared:
    """A workload that is lowered once for a GPU, to be compiled under many sets of options."""

    gpu: gpus.GpuDescription
    workload: workloads.Workload
    lowered: jax.stages.Lowered


@ft.lru_cache(maxsize=1)
def _prepared(gpu: str, workload: str) -> _Prepared:
    described, wanted = gpus.load(gpu), workloads.load(workload)
    devices = aot.topology(described, wanted.devices)
    program = wanted.program(wanted.mesh(devices.devices))
    lowered = aot.lower_for(described, program.jitted, program.args, devices=devices)
    return _Prepared(described, wanted, lowered)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        prepared = _prepared(request["gpu"], request["workload"])
    except UsageError as error:
        return {"usage": str(error)}
    except Exception as error:  # a workload is anybody's program
        return {"usage": _untraced(request["workload"], error)}
    try:
        return {"program": _compiled(prepared, request["options"]).to_json()}
    except UsageError as error:
        return {"usage": str(error)}
    except (RuntimeError, schedule.UnreadableError, ValueError) as error:  # JaxRuntimeError too
        return {"broken": str(error)}


def _compiled(prepared: _Prepared, options: Any) -> schedule.Program:
    gpu, per_host = prepared.gpu, prepared.workload.per_host
    with Folder("effects") as folder:
        dumping = _ONE_CORE | dict(options) | {"xla_dump_to": str(folder)}
        begun = time.monotonic()
        compiled = aot.compile_lowered(gpu, prepared.lowered, dumping)
        took = time.monotonic() - begun
        held = compiled.runtime_executable()
        found = schedule.read(held, gpu, folder, seconds=took, devices_per_host=per_host)
    jax.clear_caches()  # else every executable stays in memory
    return found


def _untraced(workload: str, error: Exception) -> str:
    said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
    return f"{workload} does not trace ({type(error).__name__}: {said}); fix it there"


if __name__ == "__main__":
    serve(int(sys.argv[1]), _answer)
