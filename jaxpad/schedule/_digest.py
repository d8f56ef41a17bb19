"""Digests of the parts of a compiled program, each on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jaxpad.schedule._canonical import Canonical, sha
from jaxpad.schedule._cubin import code
from jaxpad.schedule._hlo import Module
from jaxpad.schedule._model import Digest, Part
from jaxpad.schedule._records import UnreadableError
from jaxpad.schedule._thunks import Line

# Labels in thunks, or what the HLO and the device code say already.
_CLEARED = frozenset(
    {
        "profile_annotation",
        "thunk_id",
        "kernel_name",
        "persistent_name",
        "instruction_name",
        "canonical_hlo",
        "called_computation",
        "fingerprint",
        "async_events_unique_id",
        "metadata",
    }
)
_NAMED = frozenset({"xla.gpu.CustomKernelProto"})
_CODE = frozenset({"stream_executor.CudaCubinProto.data"})
_IDS = frozenset({"async_execution_id"})
_MODULES = frozenset({"xla.HloModuleProto"})


def digest(
    module: Module, gpu: Any | UnreadableError, lines: Sequence[Line] | UnreadableError
) -> Digest:
    """The digest of the parts that can be read; for the others, why not."""
    return Digest(
        parts={
            "hlo": _part(lambda: Canonical(module).digest()),
            "buffers": _part(lambda: _buffers(_there(gpu))),
            "thunks": _part(lambda: _thunks(_there(gpu))),
            "final thunks": _part(lambda: _lines(_there(lines))),
            "device code": _part(lambda: _code(_there(gpu))),
        },
        unordered=_part(lambda: Canonical(module, ordered=False).digest()),
    )


def _part(work: Callable[[], bytes]) -> Part:
    try:
        return Part(work().hex())
    except UnreadableError as error:
        return Part(None, str(error))


def _there(value: Any | UnreadableError) -> Any:
    if isinstance(value, UnreadableError):
        raise value
    return value


def _buffers(gpu: Any) -> bytes:
    """Every allocation with what is where in it, a value by the instruction that makes it."""
    places = Canonical(Module(gpu.hlo_module_with_config.hlo_module)).places
    values = {one.id: one for one in gpu.buffer_assignment.logical_buffers}
    tokens = []
    for one in gpu.buffer_assignment.buffer_allocations:
        assigned = []
        for each in one.assigned:
            made = values[each.logical_buffer_id].defined_at
            place = places.get(made.instruction_id, b"")
            where = f"{list(made.shape_index)} {each.offset} {each.size} {each.element_type}"
            assigned.append(sha(place, where.encode()))
        bare = type(one)()
        bare.CopyFrom(one)
        del bare.assigned[:]
        tokens.append(sha(bare.SerializeToString(deterministic=True), *sorted(assigned)))
    return sha(*tokens)


def _thunks(gpu: Any) -> bytes:
    """Every emitted thunk: buffers, launch dimensions, groups, streams."""
    tokens, ids = [], dict[int, int]()
    for thunk in gpu.thunks:
        bare = type(thunk)()
        bare.CopyFrom(thunk)
        inner: list[bytes] = []
        _strip(bare, ids, inner)
        tokens.append(sha(bare.SerializeToString(deterministic=True), *inner))
    return sha(*tokens)


def _strip(holder: Any, ids: dict[int, int], modules: list[bytes]) -> None:
    """Take labels and device code out of a message; number its ids in order."""
    for field, value in holder.ListFields():
        named = holder.DESCRIPTOR.full_name in _NAMED and field.name == "name"
        if field.name in _CLEARED or named or _holds_code(field):
            holder.ClearField(field.name)
        elif field.name in _IDS:
            setattr(holder, field.name, ids.setdefault(value, len(ids) + 1))
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else (value,):
                _strip(one, ids, modules)
            if field.message_type.full_name in _MODULES and not field.is_repeated:
                modules.append(Canonical(Module(value)).digest())
                holder.ClearField(field.name)


def _holds_code(field: Any) -> bool:
    return field.full_name in _CODE or field.name == "cubin"


def _lines(lines: Sequence[Line]) -> bytes:
    return sha(*(f"{one.depth} {one.kind} {one.rest}".encode() for one in lines))


def _code(gpu: Any) -> bytes:
    """Every cubin in the order of the thunks, then what all share and cuDNN's graphs."""
    tokens = [code(one) for one in cubins(gpu)]
    graphs = sorted(sha(one) for one in gpu.dnn_compiled_graphs.values())
    return sha(gpu.asm_text.encode(), *tokens, *graphs)


def cubins(gpu: Any) -> list[bytes]:
    """The device code of every thunk, and the code that the thunks share last."""
    found: list[bytes] = []
    for thunk in gpu.thunks:
        _collect(thunk, found)
    return found + [gpu.binary] * bool(gpu.binary)


def _collect(holder: Any, found: list[bytes]) -> None:
    for field, value in holder.ListFields():
        if field.message_type is None:
            if _holds_code(field) and isinstance(value, bytes) and value:
                found.append(value)
        elif not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else (value,):
                _collect(one, found)
