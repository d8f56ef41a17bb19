"""The winner as a profile file, with what was measured in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad import profiles, whole_file
from jaxpad.errors import UsageError
from jaxpad.tune._model import Measured

_MARK = "# Written by jaxpad profile.tune, study "
_DOCS = "https://github.com/openxla/xla/blob/main/xla/xla.proto"
_ABOUT = (
    *("workload", "workload_digest", "platform", "gpu", "device", "driver", "jaxlib"),
    *("date", "space", "space_digest", "baseline", "seed"),
)


@dataclass(frozen=True)
class Target:
    """Where a profile goes: the file, and the study whose it is."""

    path: Path
    study: str


def require_free(target: Target) -> None:
    """Raises UsageError where the file is there and is not this study's own."""
    try:
        first = target.path.read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError):
        first = ""
    if first != f"{_MARK}{target.study}":
        raise UsageError(
            f"{target.path} is there already and is not this study's; give another --name, or "
            "move it away"
        )


def write(
    target: Target, baseline: profiles.Profile | None, winner: Measured, about: Mapping[str, str]
) -> None:
    """Write the profile, whole or not at all: the baseline's flags, then the winner's.

    Raises UsageError as `require_free` does, and where the file cannot be written.
    """
    require_free(target)
    text = "\n".join(_lines(target.study, baseline, winner, about)) + "\n"
    replace(target.path, text)


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); give another") from None


def _lines(
    study: str, baseline: profiles.Profile | None, winner: Measured, about: Mapping[str, str]
) -> Iterable[str]:
    said = _said(winner)
    yield f"{_MARK}{study}"
    workload, where = about["workload"], about.get("device") or about["platform"]
    yield f"description = {_text(f'{workload} on {where}: {said}')}"
    if baseline and _shipped(baseline):
        yield f"extends = [{_text(baseline.name)}]"
    yield ""
    yield "[measured]"
    assert winner.ratio is not None
    for name in ("value", "low", "high"):
        key = "ratio" if name == "value" else name
        yield f"{key} = {round(getattr(winner.ratio, name), 6)!r}"
    for name in _ABOUT:
        yield f"{name} = {_text(about.get(name, ''))}"
    set_anew = {name for name, _ in winner.candidate.flags}
    for flag in _inlined(baseline):
        if flag.name not in set_anew:
            yield from _flag(flag.name, flag.value, flag.why, flag.source, flag.jaxlib)
    for flag_name, value in winner.candidate.flags:
        why = f"Measured with the other flags that this study added: {said}"
        yield from _flag(flag_name, value, why, _DOCS)
    yield from _env(baseline)


def _said(winner: Measured) -> str:
    assert winner.ratio is not None
    ratio = winner.ratio
    return f"{ratio.value:.3f} times as fast (interval {ratio.low:.3f} to {ratio.high:.3f})"


def _flag(name: str, value: str, why: str, source: str, jaxlib: str = "") -> Iterable[str]:
    yield ""
    yield "[[flag]]"
    yield f"name = {_text(name)}"
    yield f"value = {_text(value)}"
    if jaxlib:
        yield f"jaxlib = {_text(jaxlib)}"
    yield f"why = {_text(why)}"
    yield f"source = {_text(source)}"


def _shipped(baseline: profiles.Profile) -> bool:
    return baseline.name in profiles.names()


def _inlined(baseline: profiles.Profile | None) -> Iterable[profiles.Flag]:
    """The flags of a baseline that cannot be named, as one that is a file elsewhere."""
    layers = profiles.layers(baseline) if baseline and not _shipped(baseline) else ()
    found = {flag.name: flag for layer in layers for flag in layer.flags}
    return found.values()


def _env(baseline: profiles.Profile | None) -> Iterable[str]:
    layers = profiles.layers(baseline) if baseline and not _shipped(baseline) else ()
    found = {one.name: one for layer in layers for one in layer.env}
    if found:
        yield ""
        yield "[env]"
    for one in found.values():
        yield (
            f"{one.name} = {{ value = {_text(one.value)}, why = {_text(one.why)}, "
            f"source = {_text(one.source)} }}"
        )


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
