"""Walk protobuf's wire format where no generated class is at hand.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

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
