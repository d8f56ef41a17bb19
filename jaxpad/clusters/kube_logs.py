"""A text that survives a container's log.

`kubectl logs` gives stdout and stderr as one, so others' lines stand between ours, and a
runtime cuts what is longer than 16 KiB. So the text goes packed, in short numbered lines,
with a checksum over all of it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterator

MARK = "jaxpad-parcel:"
LARGEST = 64 << 20  # bytes of a text; a smoke.json is under 1 MiB
_CHUNK = 2400  # bytes, 3,200 characters: a line below PIPE_BUF is written whole
_MOST = 40_000  # lines
_LINE = re.compile(rf"{MARK} (\d{{1,6}})/(\d{{1,6}}) ([0-9a-f]{{64}}) ([A-Za-z0-9+/]+={{0,2}})")


class Lost(Exception):
    """A log that holds no whole parcel, and why."""


def pack(text: str) -> Iterator[str]:
    """The lines that carry `text`, without their ends."""
    data = text.encode()
    digest, packed = hashlib.sha256(data).hexdigest(), zlib.compress(data, 9)
    chunks = [packed[at : at + _CHUNK] for at in range(0, len(packed), _CHUNK)]
    for number, chunk in enumerate(chunks, 1):
        yield f"{MARK} {number}/{len(chunks)} {digest} {base64.b64encode(chunk).decode()}"


def unpack(log: str) -> str:
    """The text in a log, whatever else is there. Raises Lost."""
    found = [match.groups() for match in _LINE.finditer(log)]
    if not found:
        raise Lost("its log holds no report")
    _, total, digest, _ = found[-1]
    count = int(total)
    lines = {int(n): data for n, t, d, data in found if (t, d) == (total, digest)}
    missing = [n for n in range(1, min(count, _MOST) + 1) if n not in lines]
    if missing or not 0 < count <= _MOST:
        raise Lost(
            f"its log has been cut: line {missing[0] if missing else count} of {count} "
            "of the report is missing"
        )
    return _open([lines[n] for n in range(1, count + 1)], digest)


def _open(lines: list[str], digest: str) -> str:
    """Never more than LARGEST, whatever it was packed from: the log is another machine's."""
    try:
        packed = b"".join(base64.b64decode(line, validate=True) for line in lines)
        opener = zlib.decompressobj()
        data = opener.decompress(packed, LARGEST + 1)
    except (ValueError, zlib.error):
        raise Lost("its log has been garbled: the report cannot be unpacked") from None
    if len(data) > LARGEST:
        raise Lost(f"its report is larger than {LARGEST >> 20} MiB")
    if hashlib.sha256(data).hexdigest() != digest:
        raise Lost("its log has been garbled: the report's checksum is another")
    return data.decode(errors="replace")
