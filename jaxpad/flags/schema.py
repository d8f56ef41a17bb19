"""XLA's DebugOptions message, from the descriptor that jaxlib's shared library carries.

XLA compiles every .proto file's descriptor into the library as plain bytes, so the
options of exactly this build can be read without starting XLA.
"""

from __future__ import annotations

import functools as ft
import importlib.metadata
import importlib.util
import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from jaxpad.core.results import UsageError

# Walk protobuf's wire format where no generated class is at hand.
#
# Source: https://protobuf.dev/programming-guides/encoding/

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}

Bytes = bytes | memoryview


def fields(data: Bytes) -> Iterator[tuple[int, Bytes, int]]:
    """Field number, payload and end offset of each field, up to the first that is none.

    Varints and fixed-width numbers have an empty payload.
    """
    at = 0
    while at < len(data):
        tag, start = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0 or wire not in (_VARINT, _FIXED64, _BYTES, _FIXED32):
            return
        length, start = _varint(data, start) if wire == _BYTES else (_FIXED.get(wire, 0), start)
        at = _varint(data, start)[1] if wire == _VARINT else start + length
        yield number, data[start:at] if wire == _BYTES else b"", at


def dig(data: Bytes, *path: int) -> Bytes:
    """The embedded message under a path of field numbers; empty where it is absent."""
    for number in path:
        data = next((payload for found, payload, _ in fields(data) if found == number), b"")
    return data


def _varint(data: Bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


_FILE = "xla/xla.proto"
_MESSAGE = "xla.DebugOptions"
# executable_build_options, then debug_options, in xla.CompileOptionsProto. Field numbers
# never change: that is the promise of the wire format.
_IN_COMPILE_OPTIONS = (3, 3)
_ONCE = {1, 2, 8, 12}  # name, package, options, syntax: a second one opens the next file


def jaxlib_version() -> str:
    """The installed jaxlib's version. Raises UsageError where there is none."""
    try:
        return importlib.metadata.version("jaxlib")
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(
            "jaxlib is not installed for this Python; install one of requirements/*.txt"
        ) from None


@ft.cache
def debug_options() -> type[Any]:
    """The message class of xla.DebugOptions, as the installed XLA defines it.

    Raises UsageError where jaxlib is absent or its library holds no descriptor.
    """
    for path in _libraries():
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library,
        ):
            pool = descriptor_pool.DescriptorPool()
            if _add(pool, library, _FILE, set()):
                return message_factory.GetMessageClass(pool.FindMessageTypeByName(_MESSAGE))
    raise UsageError(
        f"jaxlib {jaxlib_version()} carries no description of XLA's options; "
        "use a released jaxlib, or report its build"
    )


def descriptor() -> Descriptor:
    """The descriptor of xla.DebugOptions. Raises UsageError as `debug_options` does."""
    found: Descriptor = debug_options().DESCRIPTOR
    return found


def decode(compile_options: bytes) -> Any:
    """The DebugOptions inside a serialised CompileOptions."""
    return debug_options().FromString(bytes(dig(compile_options, *_IN_COMPILE_OPTIONS)))


def _libraries() -> list[Path]:
    """The shared libraries of jaxlib, the biggest first: XLA is in that one."""
    spec = importlib.util.find_spec("jaxlib")
    folders = spec.submodule_search_locations if spec else None
    found = [path for folder in folders or () for path in Path(folder).glob("*.so")]
    return sorted(found, key=lambda path: path.stat().st_size, reverse=True)


def _add(
    pool: descriptor_pool.DescriptorPool, library: mmap.mmap, name: str, done: set[str]
) -> bool:
    """Put one .proto file and all it imports into the pool; False where it is not there."""
    if name in done:
        return True
    done.add(name)
    head = (
        b"\n" + bytes([len(name)]) + name.encode() + b"\x12"
    )  # field 1 is the name, 2 the package
    start = library.find(head)
    if start < 0:
        return False
    file = descriptor_pb2.FileDescriptorProto.FromString(_cut(library, start))
    for imported in file.dependency:
        if not _add(pool, library, imported, done):
            return False
    pool.Add(file)
    return True


def _cut(library: mmap.mmap, start: int) -> bytes:
    """The bytes of the file descriptor that begins at an offset."""
    data = library[start : start + (1 << 20)]  # the longest so far has 48 kB
    end, seen = 0, set()
    for number, _, at in fields(data):
        if number > max(descriptor_pb2.FileDescriptorProto.DESCRIPTOR.fields_by_number):
            break
        if number in _ONCE and number in seen:
            break
        seen.add(number)
        end = at
    return data[:end]


# The value of every option of a DebugOptions message, as text that can be compared.


def values(options: Any) -> dict[str, str]:
    """Name to value for every option, whether set or at protobuf's own default.

    Lists are joined by commas in alphabetical order: XLA's dump sorts them too.
    """
    return {field.name: _text(options, field) for field in options.DESCRIPTOR.fields}


def present(options: Any) -> frozenset[str]:
    """The options that a message holds."""
    return frozenset(field.name for field, _ in options.ListFields())


def agrees(word: str | None, name: str, value: str) -> bool:
    """Whether an option's value is what its flag's word says, by this module's own reading.

    Covers true and false, numbers and strings. Enumerators, lists and maps, which XLA
    spells in many ways, agree always.
    """
    field = descriptor().fields_by_name[name]
    if field.is_repeated or field.cpp_type in (field.CPPTYPE_ENUM, field.CPPTYPE_MESSAGE):
        return True
    if field.cpp_type == field.CPPTYPE_BOOL:
        return value == ("true" if (word or "true").lower() in ("true", "1") else "false")
    if field.cpp_type == field.CPPTYPE_STRING:
        return value.lower() == (word or "").lower()  # XLA puts some in capitals
    return math.isclose(float(value), float(word or "nan"), rel_tol=1e-6)


def lists(options: Any) -> frozenset[str]:
    """The options that hold a list or a map."""
    return frozenset(field.name for field in options.DESCRIPTOR.fields if field.is_repeated)


def is_map(field: FieldDescriptor) -> bool:
    """Whether a field holds keys and values."""
    entry = field.message_type
    return bool(entry and entry.GetOptions().map_entry)


def _text(options: Any, field: FieldDescriptor) -> str:
    value = getattr(options, field.name)
    if is_map(field):
        return ",".join(f"{key}={value[key]}" for key in sorted(value))
    if field.is_repeated:
        return ",".join(sorted(_one(item, field) for item in value))
    return _one(value, field)


def _one(value: Any, field: FieldDescriptor) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if field.enum_type:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if field.message_type:
        return text_format.MessageToString(value, as_one_line=True)
    return str(value)
