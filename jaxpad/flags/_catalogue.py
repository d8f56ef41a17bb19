"""Every flag of the installed XLA that sets an option."""

from __future__ import annotations

import functools as ft
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import FieldDescriptor

from jaxpad.errors import UsageError
from jaxpad.flags._ask import last_line, read, unknown_flags
from jaxpad.flags._schema import decode, descriptor, jaxlib_version
from jaxpad.flags._values import is_map, values

_TYPES = {
    FieldDescriptor.CPPTYPE_BOOL: "bool",
    FieldDescriptor.CPPTYPE_INT32: "int32",
    FieldDescriptor.CPPTYPE_INT64: "int64",
    FieldDescriptor.CPPTYPE_FLOAT: "float",
    FieldDescriptor.CPPTYPE_DOUBLE: "double",
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_ENUM: "enum",
    FieldDescriptor.CPPTYPE_MESSAGE: "message",
}
# Values that XLA takes for any flag of the type: some may not be true in a given build.
_GOOD = {"bool": "false", "int32": "1", "int64": "1", "float": "1", "double": "1", "string": "0"}


@dataclass(frozen=True)
class Option:
    """One of XLA's options.

    `type` is bool, int32, int64, float, string, enum, message, `list of …` or map.
    `choices` are an enum's names in XLA's source; a flag may want them shorter, or in
    lower case (`spellings` tells). `flag` is False for the few that XLA_FLAGS cannot set.
    """

    name: str
    type: str
    default: str
    choices: tuple[str, ...]
    deprecated: bool
    flag: bool


@ft.cache
def catalogue() -> dict[str, Option]:
    """Every option of the installed XLA by name, with its default under no flags.

    Flags that only stand for another option (the `enable_pipelined_*` of jaxlib 0.12) have
    none of their own and are not here; `accept` knows them. About 0.9 s, once in a process.

    Raises UsageError where jaxlib is absent, does not start, or is not described.
    """
    fields = descriptor().fields
    probes = _probes(fields)
    clean, *answers = read(["", *probes])
    if not clean.ok:
        raise UsageError(f"jaxlib {jaxlib_version()}: {last_line(clean.message)}; reinstall it")
    unset = {name for answer in answers for name in unknown_flags(answer.message)}
    defaults = values(decode(clean.options))
    return {
        field.name: Option(
            name=field.name,
            type=_type(field),
            default=defaults[field.name],
            choices=tuple(value.name for value in field.enum_type.values)
            if field.enum_type
            else (),
            deprecated=field.GetOptions().deprecated,
            flag=field.name not in unset,
        )
        for field in fields
    }


@ft.cache
def spellings(name: str) -> tuple[str, ...]:
    """One spelling for each choice of an enum option that its flag takes, as XLA says itself.

    XLA's flags are not of one mind: WHILE_LOOP_UNROLLING_FULL_UNROLL is spelled out,
    COLLECTIVE_PIPELINING_MODE_ON is `on`, COLLECTIVES_PEER_MEMORY is `peer`.
    """
    choices = catalogue()[name].choices
    stems = [choice.removeprefix(_shared(choices)).lower() for choice in choices]
    offered = (
        *choices,
        *stems,
        *(stem.upper() for stem in stems),
        *(s.split("_")[0] for s in stems),
    )
    taken: dict[bytes, str] = {}
    for word, reading in zip(offered, read([f"--{name}={word}" for word in offered]), strict=True):
        if reading.ok:
            taken.setdefault(reading.options, word)
    return tuple(taken.values())


def _shared(choices: Sequence[str]) -> str:
    """The words, each with its underscore, that all choices open with."""
    shared = ""
    for heads in zip(*(choice.split("_")[:-1] for choice in choices), strict=False):
        if len(set(heads)) > 1:
            break
        shared += f"{heads[0]}_"
    return shared


def _type(field: FieldDescriptor) -> str:
    one = _TYPES[field.cpp_type]
    if is_map(field):
        return "map"
    return f"list of {one}" if field.is_repeated else one


def _probes(fields: Sequence[FieldDescriptor]) -> list[str]:
    """Strings that make XLA name the options it has no flag for.

    It names all unknown flags of a string at once, unless a value in it is bad: so all
    options whose type says which value is good go into one, each of the others into its own.
    """
    plain = {field.name: _GOOD[_type(field)] for field in fields if _type(field) in _GOOD}
    others = [field.name for field in fields if field.name not in plain]
    together = " ".join(f"--{name}={value}" for name, value in plain.items())
    return [together, *(f"--{name}=?" for name in others)]
