"""Every flag of the installed XLA that sets an option."""

from __future__ import annotations

import functools as ft
import importlib.util
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from jaxpad.core.results import UsageError
from jaxpad.flags.parser import last_line, read, unknown_flags
from jaxpad.flags.schema import (
    _FILE,
    _MESSAGE,
    _add,
    decode,
    descriptor,
    is_map,
    jaxlib_version,
    values,
)

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


# What JAX's CUDA plugin says of itself: a second copy of XLA, in a library of its own.
#
# jaxlib and the plugin parse XLA_FLAGS each for itself. Released together they are built
# from one XLA; installed apart they may know different flags.

_PACKAGES = ("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12")
_TOLD = ("type", "choices", "deprecation")


def plugin_library() -> Path | None:
    """The shared library of JAX's CUDA plugin, None where the plugin is not installed."""
    for package in _PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:  # not even jax_plugins
            return None
        for folder in (spec.submodule_search_locations if spec else None) or ():
            found = Path(folder) / "xla_cuda_plugin.so"
            if found.is_file():
                return found
    return None


@ft.cache
def plugin_fields(file: str, message: str) -> frozenset[str]:
    """The fields of a protobuf message as the plugin knows it; empty where it does not."""
    found = _message(file, message)
    return frozenset(field.name for field in found.fields) if found else frozenset()


@ft.cache
def disagreements() -> Mapping[str, str] | None:
    """Where jaxlib's and the plugin's options are not the same: name to what differs.

    Compares name, type, choices and deprecation. Defaults are code, not description, and
    are not compared. None where there is no plugin, or it carries no description.

    Raises UsageError where jaxlib is absent or not described.
    """
    plugin = _message(_FILE, _MESSAGE)
    if plugin is None:
        return None
    ours, theirs = ({field.name: field for field in one.fields} for one in (descriptor(), plugin))
    told = {name: _difference(ours.get(name), theirs.get(name)) for name in {*ours, *theirs}}
    return {name: told[name] for name in sorted(told) if told[name]}


def _message(file: str, message: str) -> Descriptor | None:
    library = plugin_library()
    if library is None:
        return None
    with (
        library.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        pool = descriptor_pool.DescriptorPool()
        return pool.FindMessageTypeByName(message) if _add(pool, data, file, set()) else None


def _difference(ours: FieldDescriptor | None, theirs: FieldDescriptor | None) -> str:
    """What differs, in a few words; empty where nothing does."""
    if ours is None:
        return "only in the CUDA plugin"
    if theirs is None:
        return "not in the CUDA plugin"
    told = zip(_TOLD, _told(ours), _told(theirs), strict=True)
    differ = [part for part, one, other in told if one != other]
    return f"other {' and '.join(differ)} in the CUDA plugin" if differ else ""


def _told(field: FieldDescriptor) -> tuple[object, ...]:
    choices = [value.name for value in field.enum_type.values] if field.enum_type else []
    return (field.cpp_type, field.is_repeated), choices, field.GetOptions().deprecated
