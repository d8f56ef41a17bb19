"""The bounds that readings are held to: ours, and a site's own on top of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxpad.core import paths
from jaxpad.core.results import UsageError
from jaxpad.core.text import did_you_mean, listed

NAMES = ("health", "throughput", "multi", "fleet")
SHIPPED = tuple(paths.CONFIGS / f"{name}.toml" for name in NAMES)
_TEXTS = ("unit", "source", "why")


@dataclass(frozen=True)
class Bound:
    """One bound; `instead_of` holds the shipped value that `file` has changed."""

    name: str
    value: float
    unit: str
    source: str
    why: str
    file: str = ""
    instead_of: float | None = None

    @property
    def origin(self) -> str:
        """Where the number is from: its source, or the file that changed it."""
        if self.instead_of is None:
            return self.source
        return f"{self.file}, instead of {self.instead_of:g}"

    @property
    def override(self) -> str:
        """The change in words; empty for a bound as shipped."""
        if self.instead_of is None:
            return ""
        return f"{self.name} = {self.value:g} {self.unit} ({self.origin})"


Bounds = Mapping[str, Bound]


def load(changes: Path | None = None) -> Bounds:
    """The bounds of the files in SHIPPED, with the project's and then the lines of `changes`.

    A line of `changes` is `name = number`. The project's files have the names of the shipped
    ones; beside such lines they may hold tables, of bounds that its own checks need.

    Raises UsageError, one sentence, for a file that is not there, is no TOML, or sets
    what is no bound or no number.
    """
    shipped = [pair for file in SHIPPED for pair in paths.read_toml(file).items()]
    found = {name: Bound(name, **entry) for name, entry in shipped}
    for file in _projects():
        for name, value in paths.read_toml(file).items():
            found[name] = _own(file, name, value, found)
    for name, value in (paths.read_toml(changes) if changes else {}).items():
        found[name] = _changed(str(changes), name, value, found)
    return found


def _projects() -> tuple[Path, ...]:
    root = paths.project()
    files = [root / "configs" / f"{name}.toml" for name in NAMES] if root else []
    return tuple(file for file in files if file.is_file())


def _own(file: Path, name: str, value: Any, found: Bounds) -> Bound:
    """A bound as the project has it: a number for one that is known, or a whole table."""
    if not isinstance(value, dict):
        return _changed(str(file), name, value, found)
    if name in found:
        return _changed(str(file), name, value.get("value"), found)
    lacking = [one for one in _TEXTS if not isinstance(value.get(one), str)]
    lacking += sorted(value.keys() - {"value", *_TEXTS})
    if lacking:
        wanted = listed(("value", *_TEXTS))
        raise UsageError(f"{file}: [{name}] needs {wanted} and no more; look at {lacking[0]}")
    number = _number(file, name, value.get("value"))
    unit, source, why = (value[one] for one in _TEXTS)
    return Bound(name, number, unit, source, why, file=str(file))


def _changed(file: str, name: str, value: Any, found: Bounds) -> Bound:
    if name not in found:
        hint = did_you_mean(name, found) or f"; expected {listed(found, 'or')}"
        raise UsageError(f"{file}: no bound is called {name!r}{hint}")
    before = found[name].value
    return replace(found[name], value=_number(file, name, value), file=file, instead_of=before)


def overrides(bounds: Bounds) -> tuple[str, ...]:
    """What differs from the shipped bounds, in words."""
    return tuple(bound.override for bound in bounds.values() if bound.override)


def _number(path: Path | str, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{path}: {name} is {value!r}, expected a number: {name} = 1")
    try:
        number = float(value)
    except OverflowError:
        raise UsageError(f"{path}: {name} is too large a number; write inf") from None
    if number < 0 or math.isnan(number):
        raise UsageError(f"{path}: {name} is {value}, expected 0 or more")
    return number
