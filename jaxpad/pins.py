"""What requirements/*.txt pin: every distribution in every version, and which sets hold it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from jaxpad.errors import UsageError

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;]+)")
_HASH = re.compile(r"--hash=(\S+)")


@dataclass(frozen=True)
class Pin:
    """One version of one distribution."""

    name: str
    version: str
    sets: tuple[str, ...]  # the files that pin it, without .txt
    hashes: tuple[str, ...]  # "sha256:…", of all its wheels


def read(folder: Path) -> tuple[Pin, ...]:
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
    for line in file.read_text().replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin = _PIN.match(line)
        if pin is None:
            raise UsageError(
                f"{file} holds {line.strip()[:80]!r}, expected name==version with hashes; "
                "run invoke lock"
            )
        yield canonicalize_name(pin["name"]), pin["version"], _HASH.findall(line)
