"""Thunks: what the runtime executes, from the executable and from XLA's dump."""

from __future__ import annotations

import functools as ft
import mmap
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from jaxpad.core.results import UsageError
from jaxpad.flags import plugin_library
from jaxpad.flags.schema import _add
from jaxpad.schedule.model import SIGNATURE, Thunks, UnreadableError, records, varint

# XLA writes the first before its passes over thunks, the second only if one changed something.
_EMITTED, _PASSED = "thunk_sequence.txt", "thunk_sequence_after_thunk_passes.txt"
_LINE = re.compile(r"(?P<indent> *)\d+: (?P<kind>k\w+) +\[(?P<deps>[^]]*)\] ?(?P<rest>.*)")
_KERNEL = re.compile(r"\S+ (?=grid: )")  # a label in front of the launch dimensions
_COMMAND_BUFFER = "CommandBuffer"


@dataclass(frozen=True)
class Line:
    """One thunk of a dump: how deep it is, its kind, and the rest without labels."""

    depth: int
    kind: str
    rest: str


def final(dump: Path, module_name: str) -> tuple[Line, ...]:
    """The final thunk sequence of a module in the folder of an --xla_dump_to.

    Raises UnreadableError where the folder holds none or several, or a line is none that is
    known. The text is all there is: no message holds a command buffer.
    """
    found = sorted(dump.glob(f"*.{module_name}.{_EMITTED}"))
    if len(found) != 1:
        raise UnreadableError(f"the dump holds {len(found) or 'no'} thunk sequences of the module")
    passed = found[0].with_name(found[0].name.removesuffix(_EMITTED) + _PASSED)
    text = (passed if passed.exists() else found[0]).read_text(encoding="utf-8")
    return tuple(_line(one) for one in text.splitlines() if one.strip())


def thunks(emitted: Sequence[Any] | None, lines: Sequence[Line] | None) -> Thunks:
    """Count them."""
    counts = None if emitted is None else Counter(map(kind, nested(emitted)))
    known = None if lines is None else Counter(line.kind for line in lines if line.kind)
    return Thunks(
        emitted=_sorted(counts),
        final=_sorted(known),
        command_buffers=None if known is None else known[_COMMAND_BUFFER],
        recorded=None if lines is None else _recorded(lines),
    )


def nested(sequence: Sequence[Any]) -> Iterator[Any]:
    """Every `xla.gpu.ThunkProto`, those inside others too, in the order they are written."""
    for thunk in sequence:
        yield thunk
        yield from _inside(thunk)


def kind(thunk: Any) -> str:
    """A thunk's kind, such as `custom_kernel`."""
    found = [field.name for field, _ in thunk.ListFields() if field.name != "thunk_info"]
    return found[0].removesuffix("_thunk") if found else "empty"


def _inside(holder: Any) -> Iterator[Any]:
    for field, value in holder.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for one in value if field.is_repeated else (value,):
            if one.DESCRIPTOR.full_name == "xla.gpu.ThunkProto":
                yield one
            yield from _inside(one)


def _line(text: str) -> Line:
    found = _LINE.fullmatch(text)
    if found:
        rest = f"{found['deps'].strip()} {_KERNEL.sub('', found['rest']).strip()}"
        return Line(len(found["indent"]), found["kind"].removeprefix("k"), rest)
    heading = text.strip()
    if not heading.endswith(":"):
        raise UnreadableError(f"the dump's thunk sequence has a line of a new form: {heading!r}")
    return Line(len(text) - len(text.lstrip()), "", heading)


def _recorded(lines: Sequence[Line]) -> int:
    """How many thunks are inside command buffers."""
    within: int | None = None
    count = 0
    for line in lines:
        if within is not None and line.depth <= within:
            within = None
        count += within is not None and bool(line.kind)
        if within is None and line.kind == _COMMAND_BUFFER:
            within = line.depth
    return count


def _sorted(counts: Counter[str] | None) -> Mapping[str, int] | None:
    return None if counts is None else dict(sorted(counts.items()))


# XLA's own messages, as the installed CUDA plugin describes them.

_FILES = (
    "xla/service/gpu/gpu_executable.proto",
    "xla/util/split_proto/split_proto.proto",
    "xla/pjrt/proto/compile_options.proto",
)


@ft.cache
def message(name: str) -> type[Any]:
    """The class of a message such as `xla.HloModuleProto`.

    Raises KeyError for one that this XLA does not have, UsageError where the plugin is not
    installed or carries no descriptions.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@ft.cache
def _pool() -> descriptor_pool.DescriptorPool:
    """Every message of a GPU executable: half a second, once in a process."""
    library = plugin_library()
    if library is None:
        raise UsageError(
            "JAX's CUDA plugin, which describes compiled programs, is not installed; "
            "install requirements/proof.txt"
        )
    pool, done = descriptor_pool.DescriptorPool(), set[str]()
    with (
        library.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for file in _FILES:
            if not _add(pool, data, file, done):
                raise UsageError(
                    f"JAX's CUDA plugin does not describe {file}; install the one that "
                    "requirements/proof.txt names"
                )
    return pool


# What jaxlib's executable holds: the HLO, the buffers, the thunks and the device code.


def module(executable: Any) -> Any:
    """The optimised HLO, an `xla.HloModuleProto`: scheduled, fusions and loops in it.

    Raises UnreadableError for an executable of several modules.
    """
    found = executable.hlo_modules()
    if len(found) != 1:
        raise UnreadableError(f"the executable holds {len(found)} HLO modules, expected one")
    return message("xla.HloModuleProto").FromString(found[0].as_serialized_hlo_module_proto())


def serialised(executable: Any) -> Any:
    """The `xla.gpu.GpuExecutableProto` that `executable.serialize()` carries.

    Its thunks are those that XLA emitted; the passes that record command buffers run each
    time it is loaded. Raises UnreadableError, with the reason.
    """
    try:
        data = executable.serialize()
    except (RuntimeError, ValueError) as error:  # JaxRuntimeError is a RuntimeError
        raise UnreadableError(f"not serialised: {str(error).splitlines()[0]}") from None
    try:
        return _gpu_executable(data)
    except (DecodeError, KeyError, IndexError) as error:
        raise UnreadableError(f"the serialised executable is of another form: {error}") from None


def _gpu_executable(data: bytes) -> Any:
    length, at = varint(data, 0)  # IFRT's own header
    data = data[at + length :]
    outer = "xla.ExecutableAndOptionsProto"
    # from jaxlib 0.12 the wrapper is split as well, before that only what it wraps
    wrapper = _joined(data) if data.startswith(SIGNATURE) else message(outer).FromString(data)
    if wrapper.DESCRIPTOR.full_name == outer:
        wrapper = _joined(wrapper.serialized_executable)
    if wrapper.DESCRIPTOR.full_name != "xla.gpu.GpuExecutableProto":
        raise UnreadableError(f"the executable is a {wrapper.DESCRIPTOR.full_name}")
    return wrapper


def _joined(data: bytes) -> Any:
    """One message out of the records that XLA split it into.

    Source: xla/util/split_proto/split_proto.proto
    """
    if not data.startswith(SIGNATURE):
        raise UnreadableError("the serialised executable is no Riegeli file")
    first, *rest = records(data)
    manifest = message("xla.SplitProtoManifest").FromString(first)
    whole = message(manifest.result_proto_type)()
    for record, content in zip(manifest.records, rest, strict=False):
        if record.HasField("proto_merge_record"):
            whole.MergeFromString(content)
        else:
            _override(whole, record.field_override_record.field_path, content)
    return whole


def _override(whole: Any, path: Sequence[Any], content: bytes) -> None:
    if len(path) != 1:
        raise UnreadableError("the serialised executable is split inside a message")
    field = whole.DESCRIPTOR.fields_by_number[path[0].field_number]
    text = field.type == field.TYPE_STRING
    setattr(whole, field.name, content.decode() if text else content)
