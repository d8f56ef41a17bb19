"""Flags as compile options: what XLA's own parser makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from jaxpad import flags
from jaxpad.effects._model import Words
from jaxpad.flags._schema import decode


def read(sets: Iterable[Words]) -> dict[Words, tuple[Mapping[str, Any] | None, bytes]]:
    """Each flag set as compile options, with what XLA reads it as: none where only it knows.

    Two sets with the same reading are the same to XLA and need one compile. XLA reads
    XLA_FLAGS once in a process, so compile options stand for it where each flag shows in
    the reading. About 1.5 s: XLA is asked in children.

    Raises UsageError as `jaxpad.flags.catalogue` does.
    """
    wanted = list(sets)
    clean, *readings = flags.read(["", *(" ".join(words) for words in wanted)])
    hidden = _hidden({word for words in wanted for word in words}, clean.options)
    found: dict[Words, tuple[Mapping[str, Any] | None, bytes]] = {}
    for words, reading in zip(wanted, readings, strict=True):
        shown = reading.ok and hidden.isdisjoint(words)
        options = _options(clean.options, reading.options) if shown else None
        found[words] = (options, reading.options if options is not None else b"")
    return found


def _hidden(words: Iterable[str], clean: bytes) -> frozenset[str]:
    """The flags that set no option of their own nor, as an older spelling, another's."""
    known = flags.catalogue()
    others = [word for word in words if word.removeprefix("--").partition("=")[0] not in known]
    readings = flags.read(others) if others else ()
    return frozenset(
        word for word, read in zip(others, readings, strict=True) if read.options == clean
    )


class _NoFormError(Exception):
    """A whole message, which no compile option can carry: it goes by XLA_FLAGS alone."""


def _options(clean: bytes, given: bytes) -> dict[str, Any] | None:
    """The options that differ; None where one has no form as a compile option."""
    try:
        return dict(_differing(decode(clean), decode(given)))
    except _NoFormError:
        return None


def _differing(clean: Any, given: Any) -> Iterator[tuple[str, Any]]:
    for field in given.DESCRIPTOR.fields:
        if getattr(clean, field.name) != (value := getattr(given, field.name)):
            yield field.name, _spelled(field, value)


def _spelled(field: FieldDescriptor, value: Any) -> Any:
    """Compile options take bool, int, float and str; an enum and a list by their names."""
    if field.message_type is not None:
        raise _NoFormError
    if field.is_repeated:
        return ",".join(str(_one(field, each)) for each in value)
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Any:
    return field.enum_type.values_by_number[value].name if field.enum_type else value
