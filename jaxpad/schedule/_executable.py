"""What jaxlib's executable holds: the HLO, the buffers, the thunks and the device code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError

from jaxpad.schedule._protos import message
from jaxpad.schedule._records import SIGNATURE, UnreadableError, records, varint


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
