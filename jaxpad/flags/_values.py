"""The value of every option of a DebugOptions message, as text that can be compared."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor

from jaxpad.flags._schema import descriptor


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
