"""Compile one workload for the CPU under one set of options after another, in its own process.

It speaks as jaxpad.effects._worker does: one JSON request a line on standard input, one
answer a line in the pipe: `digest`, `memory` and `seconds`, or `broken`, or `usage`.
"""

from __future__ import annotations

import functools as ft
import sys
import time
from typing import Any

import jax

from jaxpad import workloads
from jaxpad.effects import serve
from jaxpad.errors import UsageError
from jaxpad.schedule import UnreadableError
from jaxpad.tune import _emitted


@ft.lru_cache(maxsize=1)
def _lowered(name: str) -> Any:
    workload = workloads.load(name)
    jax.config.update("jax_num_cpu_devices", workload.count)
    program = workload.program(workload.mesh(jax.devices("cpu")))
    return program.jitted.lower(*program.args)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        lowered = _lowered(request["workload"])
    except UsageError as error:
        return {"usage": str(error)}
    except Exception as error:  # a workload is anybody's program
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        name = request["workload"]
        return {"usage": f"{name} does not trace ({type(error).__name__}: {said}); mend it there"}
    try:
        return _compiled(lowered, request["options"])
    except (RuntimeError, UnreadableError, ValueError) as error:  # JaxRuntimeError too
        return {"broken": str(error)}


def _compiled(lowered: Any, options: Any) -> dict[str, Any]:
    begun = time.monotonic()
    compiled = lowered.compile(compiler_options=dict(options))
    took = time.monotonic() - begun
    needs = compiled.memory_analysis()
    found = {
        "digest": _emitted.digest(compiled.runtime_executable()),
        "memory": _bytes(needs) if needs else 0,
        "seconds": took,
    }
    jax.clear_caches()  # else every executable stays in memory
    return found


def _bytes(needs: Any) -> int:
    held = needs.argument_size_in_bytes + needs.output_size_in_bytes - needs.alias_size_in_bytes
    return int(held + needs.temp_size_in_bytes)


if __name__ == "__main__":
    serve(int(sys.argv[1]), _answer)
