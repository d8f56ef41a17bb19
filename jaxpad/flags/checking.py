"""Whether the installed XLA takes a profile, and what it makes of each flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from packaging.version import Version

from jaxpad.core.results import UsageError
from jaxpad.flags.installed import Option, catalogue, spellings
from jaxpad.flags.parser import Reading, complaint, read, unknown_flags
from jaxpad.flags.releases import history, known_by, tested
from jaxpad.flags.schema import agrees, jaxlib_version
from jaxpad.profiles import Flag, Parsed, Profile, did_you_mean, listed, parse, select

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


def _refuse(layer: Profile, flag: Flag, reading: Reading) -> NoReturn:
    if unknown_flags(reading.message):
        raise UsageError(f"{layer.path}: {unknown(flag.name)}")
    expected = _expected(flag.name)
    raise UsageError(
        f"{layer.path}: jaxlib {jaxlib_version()} refuses {flag.value!r} for {flag.name}, "
        f"expected {expected}; mend the value"
        if expected
        else f"{layer.path}: jaxlib {jaxlib_version()} refuses {flag.value!r} for {flag.name} "
        f"({complaint(reading.message)}); mend the value"
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
    """What mends the token at which XLA stops reading: what is proposed, XLA itself takes."""
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
