"""XLA's DebugOptions message, from the descriptor that jaxlib's shared library carries.

XLA compiles every .proto file's descriptor into the library as plain bytes, so the
options of exactly this build can be read without starting XLA.
"""

from __future__ import annotations

import functools as ft
import importlib.metadata
import importlib.util
import mmap
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor

from jaxpad.errors import UsageError
from jaxpad.flags._wire import dig, fields

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
