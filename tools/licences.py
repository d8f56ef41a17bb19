"""The licence of everything that is pinned, as its own metadata states it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from packaging.utils import canonicalize_name

from jaxpad.core.results import UsageError

# What requirements/*.txt pin: every distribution in every version, and which sets hold it.

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)")
_HASH = re.compile(r"--hash=(\S+)")


@dataclass(frozen=True)
class Pin:
    """One version of one distribution."""

    name: str
    version: str
    sets: tuple[str, ...]  # the files that pin it, without .txt
    hashes: tuple[str, ...]  # "sha256:…", of all its wheels


def read_pins(folder: Path) -> tuple[Pin, ...]:
    """Every pin of the folder's .txt files, each once, by name and version.

    Environment markers are left out: a version that only another Python gets is pinned too.
    Raises UsageError where there is no such file, and for a line that pins nothing.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise UsageError(f"no pins in {folder}: it holds no .txt file; run invoke lock")
    found: dict[tuple[str, str], tuple[list[str], set[str]]] = {}
    for file in files:
        for name, version, hashes in _lines(file):
            sets, known = found.setdefault((name, version), ([], set()))
            sets += [file.stem] if file.stem not in sets else []
            known.update(hashes)
    return tuple(
        Pin(name, version, tuple(sets), tuple(sorted(hashes)))
        for (name, version), (sets, hashes) in sorted(found.items())
    )


def rounds(pins: Iterable[Pin]) -> tuple[tuple[Pin, ...], ...]:
    """The pins in as few groups as can be, none of which holds a distribution twice."""
    groups: list[dict[str, Pin]] = []
    for pin in pins:
        free = next((group for group in groups if pin.name not in group), None)
        if free is None:
            groups.append(free := {})
        free[pin.name] = pin
    return tuple(tuple(group.values()) for group in groups)


def _lines(file: Path) -> Iterator[tuple[str, str, list[str]]]:
    for line in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin = _PIN.match(line)
        if pin is None:
            raise UsageError(
                f"{file} holds {line.strip()[:80]!r}, expected name==version with hashes; "
                "run invoke lock"
            )
        yield canonicalize_name(pin["name"]), pin["version"], _HASH.findall(line)


RECORD = Path("docs/licences.toml")  # what `python -m docs.licences` found
NOT_STATED = "not stated"
_CLASSIFIER = "License :: "
_VAGUE = ("OSI Approved", "Other/Proprietary License")  # the License field says more
_LONGEST = 60  # letters; a License field that is longer holds the licence's text


def stated(expression: str | None, classifiers: Sequence[str], free: str | None) -> str:
    """The licence by metadata: License-Expression, else classifiers, else the License field.

    Source: https://packaging.python.org/en/latest/specifications/core-metadata/
    """
    named = [line.split(" :: ")[-1] for line in classifiers if line.startswith(_CLASSIFIER)]
    first = (free or "").strip().partition("\n")[0].strip()
    short = first if 0 < len(first) <= _LONGEST and first != "UNKNOWN" else ""
    specific = [name for name in named if name not in _VAGUE]
    return expression or ", ".join(specific) or short or ", ".join(named) or NOT_STATED


def read(file: Path) -> dict[str, str]:
    """Licence by `name==version`."""
    found: dict[str, str] = tomllib.loads(file.read_text(encoding="utf-8"))["licences"]
    return found


def text(found: Mapping[str, str]) -> str:
    """The record, sorted, as TOML."""
    lines = [f'"{name}" = "{_quoted(found[name])}"\n' for name in sorted(found)]
    return "# Made by `python -m docs.licences` from each distribution's metadata.\n" + (
        "[licences]\n" + "".join(lines)
    )


def table(home: Path) -> str:
    """One row a distribution: its versions, its licence and the sets that pin it.

    Raises UsageError for a pin whose licence is not recorded.
    """
    known = read(home / RECORD)
    rows = groupby(read_pins(home / "requirements"), key=lambda pin: pin.name)
    lines = [_row(name, tuple(group), known) for name, group in rows]
    head = ["| distribution | version | licence | pinned in |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *lines]) + "\n"


def _row(name: str, group: Sequence[Pin], known: Mapping[str, str]) -> str:
    licences = dict.fromkeys(_licence(pin, known) for pin in group)
    sets = sorted({one for pin in group for one in pin.sets})
    versions = ", ".join(pin.version for pin in group)
    words = "; ".join(licences).replace("|", "\\|")
    return f"| {name} | {versions} | {words} | {', '.join(sets)} |"


def _licence(pin: Pin, known: Mapping[str, str]) -> str:
    name = f"{pin.name}=={pin.version}"
    if name not in known:
        raise UsageError(f"the licence of {name} is not recorded: run python -m docs.licences")
    return known[name]


def _quoted(words: str) -> str:
    clean = "".join(letter if letter.isprintable() else " " for letter in words)
    return clean.replace("\\", "\\\\").replace('"', '\\"')
