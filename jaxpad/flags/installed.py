"""Every flag of the installed XLA that sets an option."""

from __future__ import annotations

import functools as ft
import importlib.util
import mmap
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from packaging.version import Version

from jaxpad.core import child
from jaxpad.core.results import UsageError
from jaxpad.flags.parser import Reading, complaint, last_line, read, unknown_flags
from jaxpad.flags.releases import history, known_by, tested
from jaxpad.flags.schema import (
    _FILE,
    _MESSAGE,
    _add,
    agrees,
    decode,
    descriptor,
    is_map,
    jaxlib_version,
    values,
)
from jaxpad.profiles import Flag, Parsed, Profile, did_you_mean, environment, listed, parse, select

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


# Whether the installed XLA takes a profile, and what it makes of each flag.

_EXPECTED = {
    "bool": "true or false",
    "int32": "a whole number of 32 bits",
    "int64": "a whole number of 64 bits",
    "float": "a number",
    "double": "a number",
    "string": "a string",
    "map": "key=value pairs with commas between",
}


def check(profile: Profile) -> tuple[str, ...]:
    """Hold a profile, with all it extends, to the installed XLA: about 0.5 s.

    Returns notes, a sentence each: a flag whose value is the default already, one that
    sets no option, one that XLA's source marks as deprecated.

    Raises UsageError for the first flag that XLA does not know or whose value it refuses,
    with the file, the nearest names and the jaxlib releases that knew it, or the values it
    takes; and as `jaxpad.profiles.layers` does.
    """
    _check_variables(profile)
    chosen = select(profile, jaxlib_version())
    clean, *readings = read(["", *(flag.word for _, flag in chosen)])
    if not clean.ok:
        raise UsageError(f"jaxlib {jaxlib_version()}: {complaint(clean.message)}; reinstall it")
    notes = []
    for (layer, flag), reading in zip(chosen, readings, strict=True):
        if not reading.ok:
            _refuse(layer, flag, reading)
        notes += [f"{layer.path}: {note}" for note in _notes(flag, reading, clean)]
    return tuple(notes)


_START_S = 60.0  # for `import jax`, on a busy machine
_VALUE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): (.*)$", re.MULTILINE)


def _check_variables(profile: Profile) -> None:
    """Have JAX read the variables that a profile sets for it: it refuses a value at its import.

    Raises UsageError where JAX does not start under them.
    """
    ours = {name: value for name, value in environment(profile).items() if name.startswith("JAX_")}
    if not ours:
        return
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    variables = child.importable(kept | {"JAX_PLATFORMS": "cpu"} | ours)
    done = child.run(child.python("-c", "import jax"), environ=variables, limit_s=_START_S)
    if done.late or done.code:
        said = _VALUE.findall(done.err) or [f"no answer within {_START_S:g} s{done.note}"]
        told = " ".join(f"{name}={value}" for name, value in ours.items())
        raise UsageError(
            f"{profile.path}: jax does not start with {told} ({said[-1]}); fix the value"
        )


def _refuse(layer: Profile, flag: Flag, reading: Reading) -> NoReturn:
    if unknown_flags(reading.message):
        raise UsageError(f"{layer.path}: {unknown(flag.name)}")
    expected = _expected(flag.name)
    raise UsageError(
        f"{layer.path}: jaxlib {jaxlib_version()} refuses {flag.value!r} for {flag.name}, "
        f"expected {expected}; fix the value"
        if expected
        else f"{layer.path}: jaxlib {jaxlib_version()} refuses {flag.value!r} for {flag.name} "
        f"({complaint(reading.message)}); fix the value"
    )


def unknown(name: str) -> str:
    """What to say of a flag this jaxlib does not know: who knew it, the nearest names.

    XLA says "unknown", too, of a flag it knows that came without the value it needs.
    """
    version = jaxlib_version()
    known = {*catalogue(), *(old for old, releases in history().items() if version in releases)}
    if name in known:
        return f"{name} needs a value here, joined by '=': --{name}={_expected(name) or 'VALUE'}"
    words = f"jaxlib {version} does not know {name} ({known_by(name)})"
    releases = [each for each in history().get(name, ()) if Version(each) < Version(version)]
    if releases and version not in history()[name]:
        return f"{words}: it was removed after jaxlib {releases[-1]}; {_instead(name)}"
    if name in history() and not history()[name]:
        return f"{words}: it was removed before {tested()[0]}; drop it"
    return words + (did_you_mean(name, known) or "; remove it, or give it a jaxlib range")


# What took a removed flag's place, where that is known.
_SUCCESSORS = {"xla_gpu_graph_level": "xla_gpu_enable_command_buffer"}


def _instead(name: str) -> str:
    successor = _SUCCESSORS.get(name)
    return f"use {successor}" if successor else "drop it"


def stray_remedy(parsed: Parsed) -> str:
    """How to fix the token at which XLA stops reading: what is proposed, XLA itself takes."""
    stray = parsed.stray or ""
    bare = parsed.flags[-1] if parsed.flags and parsed.flags[-1].value is None else None
    tried = [f"{bare.word}={stray}"] if bare else []
    tried += [] if stray.startswith("-") else [f"--{stray}"]
    for word, reading in zip(tried, read(tried) if tried else (), strict=True):
        if reading.ok and parse(word).flags:
            return f"write {word}: " + ("a value is joined by '='" if bare else "it has no dashes")
    return f"remove {stray!r}"


def _expected(name: str) -> str:
    """What a flag takes, empty where that is not known."""
    option = catalogue().get(name)
    if option is None:
        return ""
    if option.choices:
        return _choices(option)
    return _EXPECTED.get(option.type, "")


def _choices(option: Option) -> str:
    choices = listed(spellings(option.name) or option.choices, "or")
    return f"{choices}, or several with commas between" if "list" in option.type else choices


def _notes(flag: Flag, reading: Reading, clean: Reading) -> list[str]:
    option = catalogue().get(flag.name)
    notes = []
    if reading.options == clean.options:
        is_default = option and agrees(flag.value, flag.name, option.default)
        what = "is the default already" if is_default else "is accepted and changes no option"
        notes.append(f"{flag.word} {what} (jaxlib {jaxlib_version()})")
    if option and option.deprecated:
        notes.append(f"{flag.name} is deprecated in XLA's source (jaxlib {jaxlib_version()})")
    return notes


# Whether the installed XLA takes a flag string.


@dataclass(frozen=True)
class Acceptance:
    """The installed XLA's answer to a flag string.

    `unknown` names every flag it does not know, `bad_value` the first flag whose value it
    refuses. A string cut short by a stray token is accepted: XLA never sees the rest
    (`jaxpad.profiles.parse` does). `late`: there was no answer in time, so nothing is known.
    """

    ok: bool
    unknown: tuple[str, ...] = ()
    bad_value: str | None = None
    message: str = ""
    late: bool = False


def accept(text: str, timeout: float = 60) -> Acceptance:
    """Ask the real parser, in a child that imports jaxlib but not JAX: about 0.4 s.

    Each flag is asked alone as well, since XLA keeps quiet about unknown flags where a
    value is bad, and about which value that is. Never raises; `timeout` is in seconds.
    """
    flags = parse(text).flags
    whole, *alone = read([text, *(flag.quoted for flag in flags)], timeout)
    if whole.ok:
        return Acceptance(ok=True)
    if not whole.asked:
        return Acceptance(ok=False, message=whole.message, late=whole.late)
    unknown: list[str] = []
    refused: list[str] = []
    for flag, reading in zip(flags, alone, strict=True):
        if not reading.ok:
            (unknown if unknown_flags(reading.message) else refused).append(flag.name)
    return Acceptance(
        ok=False,
        unknown=tuple(dict.fromkeys(unknown)),
        bad_value=refused[0] if refused else None,
        message=complaint(whole.message),
    )
