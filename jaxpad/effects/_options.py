"""Flags as compile options: what XLA's own parser makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from jaxpad import flags
from jaxpad.effects._model import Task, Words
from jaxpad.flags._schema import decode
from jaxpad.profiles import parse


def tasks(sets: Sequence[Words]) -> tuple[tuple[Task, bytes], ...]:
    """How to compile each flag set, with what XLA reads it as: empty where only it knows.

    Two sets with the same reading are the same to XLA and need one compile. XLA reads
    XLA_FLAGS once in a process, so compile options stand for it where each flag sets an
    option of its own. About 1.5 s: XLA is asked in children.

    Raises UsageError as `jaxpad.flags.catalogue` does.
    """
    known = flags.catalogue()
    clean, *readings = flags.read(["", *(" ".join(words) for words in sets)])
    found = []
    for words, reading in zip(sets, readings, strict=True):
        own = all(flag.name in known for flag in parse(" ".join(words)).flags)
        options = _options(clean.options, reading.options) if own and reading.ok else None
        same = reading.options if options is not None else b""
        found.append((Task(words, options), same))
    return tuple(found)


def _options(clean: bytes, given: bytes) -> dict[str, Any] | None:
    """The options that differ; None where one has no form as a compile option."""
    try:
        return dict(_differing(decode(clean), decode(given)))
    except NotImplementedError:
        return None


def _differing(clean: Any, given: Any) -> Iterator[tuple[str, Any]]:
    for field in given.DESCRIPTOR.fields:
        if getattr(clean, field.name) != (value := getattr(given, field.name)):
            yield field.name, _spelled(field, value)


def _spelled(field: FieldDescriptor, value: Any) -> Any:
    """Compile options take bool, int, float and str; an enum and a list by their names."""
    if field.message_type is not None:
        raise NotImplementedError
    if field.is_repeated:
        return ",".join(str(_one(field, each)) for each in value)
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Any:
    return field.enum_type.values_by_number[value].name if field.enum_type else value
