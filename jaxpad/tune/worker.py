"""Compile one workload for the CPU under one set of options after another, in its own process.

It speaks as jaxpad.effects.worker does: one JSON request a line on standard input, one
answer a line in the pipe: `digest`, `memory` and `seconds`, or `broken`, or `usage`.
"""

from __future__ import annotations

import functools as ft
import mmap
import sys
import time
from typing import Any

import jax
from google.protobuf import descriptor_pool, message_factory

from jaxpad import workloads
from jaxpad.core.results import UsageError
from jaxpad.effects import serve
from jaxpad.flags.schema import _add, _libraries, jaxlib_version
from jaxpad.schedule import UnreadableError
from jaxpad.schedule.digests import Canonical, sha
from jaxpad.schedule.hlo import Module
from jaxpad.schedule.model import SIGNATURE, varint

# The digest of a program compiled for the CPU: what runs, whatever the options that led to it.
#
# jaxlib's executable carries the optimised HLO, where its buffers are, the thunks that run it
# and the object code of every kernel. Source of the format:
# https://github.com/openxla/xla/blob/main/xla/service/cpu/executable.proto

_FILES = ("xla/service/cpu/executable.proto", "xla/pjrt/proto/compile_options.proto")
# Labels, and numbers that count what this process compiled before.
_CLEARED = frozenset({"info", "instruction_id", "module_id", "unique_id"})


def code_digest(executable: Any) -> str:
    """SHA-256, in hexadecimal, over the HLO, the buffers, the thunks and the object code.

    Names, ids and metadata are left out, and so are options that left no trace in any of the
    four. Raises UnreadableError for an executable of another form.
    """
    result = _result(executable.serialize())
    hlo = Canonical(Module(result.hlo_module.hlo_module)).digest()
    return sha(hlo, _buffers(result), _thunks(result), *_objects(result)).hex()


def _result(data: bytes) -> Any:
    length, at = varint(data, 0)  # IFRT's own header
    data = data[at + length :]
    if data.startswith(SIGNATURE):
        raise UnreadableError("the serialised executable is a Riegeli file, expected a message")
    outer = _message("xla.ExecutableAndOptionsProto").FromString(data)
    return _message("xla.cpu.CompilationResultProto").FromString(outer.serialized_executable)


def _buffers(result: Any) -> bytes:
    """Every allocation: its size and what it is for. What is where in it, the thunks say."""
    tokens = []
    for one in result.buffer_assignment.buffer_allocations:
        bare = type(one)()
        bare.CopyFrom(one)
        del bare.assigned[:]
        tokens.append(sha(bare.SerializeToString(deterministic=True)))
    return sha(*tokens)


def _thunks(result: Any) -> bytes:
    bare = type(result.thunk_sequence)()
    bare.CopyFrom(result.thunk_sequence)
    _strip(bare)
    data: bytes = bare.SerializeToString(deterministic=True)
    return data


def _strip(holder: Any) -> None:
    for field, value in holder.ListFields():
        if field.name in _CLEARED:
            holder.ClearField(field.name)
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else (value,):
                _strip(one)


def _objects(result: Any) -> list[bytes]:
    """Each object file's bytes, in one order whatever they are called."""
    return sorted(sha(one.contents) for one in result.object_files)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@ft.cache
def _pool() -> descriptor_pool.DescriptorPool:
    """The messages of a CPU executable, as jaxlib's own library describes them."""
    for path in _libraries():
        pool = descriptor_pool.DescriptorPool()
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library,
        ):
            if all(_add(pool, library, name, set()) for name in _FILES[:1]):
                done: set[str] = set()
                pool = descriptor_pool.DescriptorPool()
                for name in _FILES:
                    _add(pool, library, name, done)
                return pool
    raise UsageError(
        f"jaxlib {jaxlib_version()} does not describe its CPU executables; use a released jaxlib"
    )


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
        return {"usage": f"{name} does not trace ({type(error).__name__}: {said}); fix it there"}
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
        "digest": code_digest(compiled.runtime_executable()),
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
