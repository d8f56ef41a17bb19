"""The licence of everything that is pinned, as its own metadata states it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from jaxpad import pins
from jaxpad.errors import UsageError
from jaxpad.pins import Pin

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
    found: dict[str, str] = tomllib.loads(file.read_text())["licences"]
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
    rows = groupby(pins.read(home / "requirements"), key=lambda pin: pin.name)
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
