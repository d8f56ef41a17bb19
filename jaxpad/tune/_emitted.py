"""The digest of a program compiled for the CPU: what runs, whatever the options that led to it.

jaxlib's executable carries the optimised HLO, where its buffers are, the thunks that run it
and the object code of every kernel. Source of the format:
https://github.com/openxla/xla/blob/main/xla/service/cpu/executable.proto
"""

from __future__ import annotations

import functools as ft
import mmap
from typing import Any

from google.protobuf import descriptor_pool, message_factory

from jaxpad.errors import UsageError
from jaxpad.flags._schema import _add, _libraries, jaxlib_version
from jaxpad.schedule._canonical import Canonical, sha
from jaxpad.schedule._hlo import Module
from jaxpad.schedule._records import SIGNATURE, UnreadableError, varint

_FILES = ("xla/service/cpu/executable.proto", "xla/pjrt/proto/compile_options.proto")
# Labels, and numbers that count what this process compiled before.
_CLEARED = frozenset({"info", "instruction_id", "module_id", "unique_id"})


def digest(executable: Any) -> str:
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
