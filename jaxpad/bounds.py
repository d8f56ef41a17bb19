"""The bounds that readings are held to: ours, and a site's own on top of them."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.paths import CONFIGS
from jaxpad.profiles import did_you_mean, listed

SHIPPED = (CONFIGS / "health.toml", CONFIGS / "throughput.toml", CONFIGS / "multi.toml")


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
    """The bounds of configs/health.toml, throughput.toml and multi.toml, changed by `changes`.

    A line of `changes` is `name = number`.

    Raises UsageError, one sentence, for a file that is not there, is no TOML, or sets
    what is no bound or no number.
    """
    shipped = [pair for file in SHIPPED for pair in _read(file).items()]
    found = {name: Bound(name, **entry) for name, entry in shipped}
    for name, value in (_read(changes) if changes else {}).items():
        if name not in found:
            hint = did_you_mean(name, found) or f"; expected {listed(found, 'or')}"
            raise UsageError(f"{changes}: no bound is called {name!r}{hint}")
        number = _number(changes, name, value)
        found[name] = replace(
            found[name], value=number, file=str(changes), instead_of=found[name].value
        )
    return found


def overrides(bounds: Bounds) -> tuple[str, ...]:
    """What differs from the shipped bounds, in words."""
    return tuple(bound.override for bound in bounds.values() if bound.override)


def _number(path: Path | None, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{path}: {name} is {value!r}, expected a number: {name} = 1")
    try:
        number = float(value)
    except OverflowError:
        raise UsageError(f"{path}: {name} is too large a number; write inf") from None
    if number < 0 or math.isnan(number):
        raise UsageError(f"{path}: {name} is {value}, expected 0 or more")
    return number


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a TOML file of bounds") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise UsageError(f"{path}: this is no TOML: {error}") from None
