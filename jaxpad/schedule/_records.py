"""The records of a Riegeli file, the container in which XLA serialises an executable.

Only what XLA writes is read: simple chunks, plain or compressed with Snappy.

Sources: https://github.com/google/riegeli/blob/master/doc/riegeli_records_file_format.md,
https://github.com/google/snappy/blob/main/format_description.txt
"""

from __future__ import annotations

from collections.abc import Iterator

SIGNATURE = bytes.fromhex("83af70d10d884a3f")  # how the header of the first block begins

_BLOCK, _BLOCK_HEADER, _CHUNK_HEADER = 1 << 16, 24, 40
_SIMPLE, _WITHOUT_RECORDS = b"r", (b"s", b"m", b"p")
_PLAIN, _SNAPPY = 0, ord("s")


class UnreadableError(Exception):
    """A part of a compiled program cannot be read: the reason."""


def records(data: bytes) -> list[bytes]:
    """The records in order. Raises UnreadableError for a file of another kind."""
    try:
        return list(_records(data))
    except IndexError:
        raise UnreadableError("the serialised executable is cut off") from None


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at an offset, and the offset behind it."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def unsnappy(data: bytes) -> bytes:
    """Decompress one Snappy block."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        if tag & 3 == 0:
            length, at = _literal(data, tag, at)
            out += data[at : at + length]
            at += length
        else:
            length, back, at = _copy(data, tag, at)
            _repeat(out, back, length)
    if len(out) != size:
        raise UnreadableError("the serialised executable is damaged (Snappy)")
    return bytes(out)


def _records(data: bytes) -> Iterator[bytes]:
    chunks = b"".join(data[at + _BLOCK_HEADER : at + _BLOCK] for at in range(0, len(data), _BLOCK))
    at = 0
    while at + _CHUNK_HEADER <= len(chunks):
        size = int.from_bytes(chunks[at + 8 : at + 16], "little")
        kind = chunks[at + 24 : at + 25]
        at += _CHUNK_HEADER
        if kind == _SIMPLE:
            yield from _simple(chunks[at : at + size])
        elif kind not in _WITHOUT_RECORDS:
            raise UnreadableError(f"the serialised executable has chunks of kind {kind!r}")
        at += size


def _simple(chunk: bytes) -> Iterator[bytes]:
    length, at = varint(chunk, 1)
    sizes = _plain(chunk[0], chunk[at : at + length])
    values = _plain(chunk[0], chunk[at + length :])
    start = at = 0
    while at < len(sizes):
        size, at = varint(sizes, at)
        yield values[start : start + size]
        start += size


def _plain(compression: int, data: bytes) -> bytes:
    if compression == _PLAIN:
        return data
    if compression != _SNAPPY:
        raise UnreadableError(f"the serialised executable is compressed with {chr(compression)!r}")
    return unsnappy(data[varint(data, 0)[1] :])


def _literal(data: bytes, tag: int, at: int) -> tuple[int, int]:
    length = tag >> 2
    if length < 60:
        return length + 1, at
    more = length - 59
    return int.from_bytes(data[at : at + more], "little") + 1, at + more


def _copy(data: bytes, tag: int, at: int) -> tuple[int, int, int]:
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at], at + 1
    wide = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, int.from_bytes(data[at : at + wide], "little"), at + wide


def _repeat(out: bytearray, back: int, length: int) -> None:
    start = len(out) - back
    if back == 0 or start < 0:
        raise UnreadableError("the serialised executable is damaged (Snappy)")
    while length > 0:  # the copy may reach into what it writes
        piece = out[start : start + length]
        out += piece
        start, length = start + len(piece), length - len(piece)
