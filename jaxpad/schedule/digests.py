"""Digests of the parts of a compiled program, each on its own."""

from __future__ import annotations

import functools as ft
import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule.hlo import Computation, Module
from jaxpad.schedule.model import Digest, Part, UnreadableError
from jaxpad.schedule.thunks import Line

# HLO reduced to what it computes and in which order: names, ids and metadata left out.

_LABELS = (
    "name",
    "id",
    "metadata",
    "statistics_viz",
    "original_value",
    "channel_id",
    "operand_ids",
    "control_predecessor_ids",
    "called_computation_ids",
    "backend_config_payload",
)
_MODULE = ("input_output_alias", "buffer_donor", "device_assignment", "cross_program_prefetches")
_FINGERPRINT = "fingerprint"
_ESTIMATE = "reification_cost"  # what a pass thought the instruction would cost


def sha(*parts: bytes) -> bytes:
    """SHA-256 of some parts; where one ends is part of it."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


@dataclass(frozen=True)
class Canonical:
    """One module; `ordered` says whether the order of its schedule counts."""

    module: Module
    ordered: bool = True

    def digest(self) -> bytes:
        """The digest of all that the entry computation reaches."""
        proto = self.module.proto
        held = [getattr(proto, name) for name in _MODULE]
        aside = [_bytes(one) for each in held for one in (each if _many(each) else (each,))]
        shape = type(proto.host_program_shape)()
        shape.CopyFrom(proto.host_program_shape)
        del shape.parameter_names[:]
        return sha(self._computation(proto.entry_computation_id), _bytes(shape), *aside)

    @ft.cached_property
    def places(self) -> Mapping[int, bytes]:
        """Where each instruction is, by id: its computation, and its turn in a schedule."""
        found: dict[int, bytes] = {}
        for number, one in enumerate(self._reached()):
            for turn, each in enumerate(self.module.computations[one].instructions):
                found[each.id] = f"{number}:{turn if self._scheduled(one) else ''}".encode()
        return found

    def _reached(self) -> list[int]:
        found: dict[int, None] = {}
        waiting = [self.module.proto.entry_computation_id]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = None
                inside = self.module.computations[one].instructions
                waiting += [each for it in inside for each in it.called_computation_ids][::-1]
        return list(found)

    def _scheduled(self, computation: int) -> bool:
        return computation in self.module.proto.schedule.sequences

    @ft.cached_property
    def _known(self) -> dict[int, bytes]:
        return {}

    def _computation(self, number: int) -> bytes:
        if number not in self._known:
            inside = self.module.computations[number]
            sequence = self.ordered and self._scheduled(number)
            self._known[number] = self._sequence(inside) if sequence else self._set(inside)
        return self._known[number]

    def _sequence(self, inside: Computation) -> bytes:
        turn = {one.id: str(at) for at, one in enumerate(inside.instructions)}
        tokens = []
        for one in inside.instructions:
            reads = ",".join(turn[each] for each in one.operand_ids)
            after = ",".join(sorted(turn[each] for each in one.control_predecessor_ids))
            tokens.append(sha(self._token(one), reads.encode(), after.encode()))
        return sha(turn[inside.root.id].encode(), *tokens)

    def _set(self, inside: Computation) -> bytes:
        hashes: dict[int, bytes] = {}
        waiting = list(inside.instructions)
        while waiting:  # operands first, whatever the order they are written in
            one = waiting.pop()
            missing = [each for each in inside.operands(one) if each.id not in hashes]
            if missing:
                waiting += [one, *missing]
            elif one.id not in hashes:
                reads = [hashes[each] for each in one.operand_ids]
                hashes[one.id] = sha(self._token(one), *reads)
        return sha(hashes[inside.root.id], *sorted(hashes.values()))

    def _token(self, one: Any) -> bytes:
        bare = type(one)()
        bare.CopyFrom(one)
        for label in _LABELS:
            bare.ClearField(label)
        for key in [key for key in bare.frontend_attributes.map if key.startswith(_FINGERPRINT)]:
            del bare.frontend_attributes.map[key]
        noted = self.module.config(one)
        if noted:
            said = _said(noted)
            bare.backend_config = json.dumps(said, sort_keys=True).encode() if said else b""
        called = [self._computation(each) for each in one.called_computation_ids]
        return sha(_bytes(bare), *called)


def _said(noted: Any) -> Any:
    """What a backend's note says: estimates and values that are protobuf's defaults left out."""
    if isinstance(noted, dict):
        said = {key: _said(value) for key, value in noted.items() if key != _ESTIMATE}
        return {key: value for key, value in said.items() if not _default(value)}
    return [_said(value) for value in noted] if isinstance(noted, list) else noted


def _default(value: Any) -> bool:
    return value in (0, "", "0", [], {}) or str(value).endswith("_INVALID")


def _many(value: Any) -> bool:
    return not hasattr(value, "SerializeToString")


def _bytes(value: Any) -> bytes:
    data: bytes = value.SerializeToString(deterministic=True)
    return data


# The stable part of a cubin: what the GPU executes, without the names of kernels.
#
# Sources: the ELF-64 object file format,
# https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html,
# and CUDA's sections in it, https://docs.nvidia.com/cuda/cuda-binary-utilities/

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NULL, _SYMBOLS, _STRINGS, _NOTE, _NO_BITS = 0, 2, 3, 7, 8
_NAMES = frozenset({_NULL, _SYMBOLS, _STRINGS, _NOTE})  # a note tells of the tools


def code(data: bytes) -> bytes:
    """A digest of a cubin's sections but for its names and notes.

    Raises UnreadableError for what is no ELF-64 file.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        raise UnreadableError("the device code is no cubin")
    try:
        return sha(*(part for section in _sections(data) for part in section))
    except struct.error:
        raise UnreadableError("the device code is cut off") from None


def _sections(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    header = _HEADER.unpack_from(data)
    table, size, count = header[6], header[11], header[12]
    for number in range(count):
        _, kind, flags, _, offset, length, _, _, _, _ = _SECTION.unpack_from(
            data, table + number * size
        )
        if kind in _NAMES:
            continue
        content = b"" if kind == _NO_BITS else data[offset : offset + length]
        yield struct.pack("<IQQ", kind, flags, length), content


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
