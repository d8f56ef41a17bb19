"""The stable part of a cubin: what the GPU executes, without the names of kernels.

Sources: the ELF-64 object file format, https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html,
and CUDA's sections in it, https://docs.nvidia.com/cuda/cuda-binary-utilities/
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from jaxpad.schedule._canonical import sha
from jaxpad.schedule._records import UnreadableError

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
