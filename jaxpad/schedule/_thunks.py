"""Thunks: what the runtime executes, from the executable and from XLA's dump."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.schedule._model import Thunks
from jaxpad.schedule._records import UnreadableError

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
