"""What is read of a compiled program, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kernels:
    """The kernels of one kind.

    `count` is how many the program text holds, `runs` how often they run in one run of the
    program: None where a loop's trip count is not known. `flops` and `bytes` are of all
    runs; None where runs is, flops also where the HLO does not say what is computed.
    `asynchronous` of them run on a stream of their own.
    """

    kind: str
    count: int
    asynchronous: int
    runs: int | None
    flops: int | None
    bytes: int | None


@dataclass(frozen=True)
class Between:
    """What is scheduled between a collective's start and its done.

    `kernels` is how many of each kind run there in one run of the computation, loops
    unrolled; `seconds` is their time by the roofline model, None where it gives none.
    """

    kernels: Mapping[str, int]
    seconds: float | None


@dataclass(frozen=True)
class Collective:
    """One collective operation.

    `bytes` is the larger of what goes in and what comes out on one device in one run, `sent`
    what a ring sends from each device, None for a kind that has no such formula. `group` is
    how many devices take part, None where the HLO does not say. `loops` holds the trip
    counts around it, outermost first. `form` is how it is written: start and done, wrapped
    (a computation that runs asynchronously), or plain. `seconds` is `sent` over NVLink's
    bandwidth.
    """

    kind: str
    bytes: int
    sent: int | None
    group: int | None
    asynchronous: bool
    form: str
    loops: tuple[int | None, ...]
    runs: int | None
    seconds: float | None
    between: Between

    @property
    def exposed_seconds(self) -> float | None:
        """The model's time that no compute hides, in one run."""
        if self.seconds is None or self.between.seconds is None:
            return None
        return max(0.0, self.seconds - self.between.seconds)


@dataclass(frozen=True)
class RooflineFigure:
    """One number of the model: its value and source; no value where `why` says so."""

    value: float | None
    unit: str
    source: str | None
    why: str = ""


@dataclass(frozen=True)
class Overlap:
    """The roofline model's times in one run of the program, in seconds. A model: no timing.

    A kernel takes max(FLOPs / peak, bytes / bandwidth), a collective its bytes over NVLink's
    bandwidth in one direction; launches, latency and contention cost nothing. `exposed` is
    the part of `communication` that no compute between start and done hides. Two
    collectives in flight at once may each count the same compute. None where a figure, a
    kernel's FLOPs or a trip count is missing; `missing` says which.
    """

    compute: float | None
    communication: float | None
    exposed: float | None
    figures: Mapping[str, RooflineFigure]
    missing: tuple[str, ...]
    label: str = "roofline model, not a measurement"


@dataclass(frozen=True)
class Memory:
    """Bytes on one device, by XLA's buffer assignment.

    `total` is arguments + outputs + temporaries + code, what outputs share with donated
    arguments (`aliased`) counted once. `peak` is XLA's own figure, None where it gives none.
    `fits` holds `total` against the description's size (GB are 10^9 bytes); None where the
    size is unconfirmed.
    """

    arguments: int
    outputs: int
    temporaries: int
    aliased: int
    code: int | None
    peak: int | None
    available: int | None

    @property
    def total(self) -> int:
        """What the program needs at once."""
        held = self.arguments + self.outputs - self.aliased
        return held + self.temporaries + (self.code or 0)

    @property
    def fits(self) -> bool | None:
        """Whether the GPU's memory is large enough."""
        return None if self.available is None else self.total <= self.available


@dataclass(frozen=True)
class Thunks:
    """What the runtime executes, by kind.

    `emitted` counts the thunks that XLA wrote, None where the executable does not serialise;
    `final` those after the passes that record command buffers, None where there is no dump.
    `recorded` of them are inside `command_buffers`.
    """

    emitted: Mapping[str, int] | None
    final: Mapping[str, int] | None
    command_buffers: int | None
    recorded: int | None


@dataclass(frozen=True)
class Part:
    """One part of a digest: a SHA-256 in hexadecimal digits, or why there is none."""

    digest: str | None
    why: str = ""


@dataclass(frozen=True)
class Digest:
    """What tells two compiled programs apart.

    `parts` are the HLO, the buffer assignment, the emitted and the final thunks and the
    device code. `unordered` is the HLO's without the order of its schedule.
    """

    parts: Mapping[str, Part]
    unordered: Part


@dataclass(frozen=True)
class Program:
    """A compiled program. `seconds` is the compile's time as the caller gave it."""

    gpu: str
    kernels: tuple[Kernels, ...]
    collectives: tuple[Collective, ...]
    overlap: Overlap
    memory: Memory | None
    thunks: Thunks
    digest: Digest
    seconds: float | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain data, what is derived (total, fits, exposed) included."""
        plain = asdict(self)
        for one, shown in zip(self.collectives, plain["collectives"], strict=True):
            shown["exposed_seconds"] = one.exposed_seconds
        if self.memory is not None:
            plain["memory"] |= {"total": self.memory.total, "fits": self.memory.fits}
        return plain


# The records of a Riegeli file, the container in which XLA serialises an executable.
#
# Only what XLA writes is read: simple chunks, plain or compressed with Snappy.
#
# Sources: https://github.com/google/riegeli/blob/master/doc/riegeli_records_file_format.md,
# https://github.com/google/snappy/blob/main/format_description.txt

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
