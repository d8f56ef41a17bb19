"""Which tested jaxlib releases knew a flag."""

from __future__ import annotations

import functools as ft

from jaxpad.core import paths

_HISTORY_FILE = paths.CONFIGS / "xla" / "flag-history.toml"


@ft.cache
def tested() -> tuple[str, ...]:
    """The jaxlib releases that were asked, oldest first."""
    return tuple(_data()["tested"])


@ft.cache
def history() -> dict[str, tuple[str, ...]]:
    """Flag to the tested releases that know it, oldest first; empty for a name none knows.

    Source: configs/xla/flag-history.toml, which says how it was measured.
    """
    return {name: _releases(spans) for name, spans in _data()["known"].items()}


def known_by(name: str) -> str:
    """`known by jaxlib 0.4.38 to 0.6.2`, or that no tested release knows it."""
    spans = _data()["known"].get(name)
    if spans:
        return f"known by jaxlib {spans}"
    return f"known by none of jaxlib {tested()[0]} to {tested()[-1]}"


def _releases(spans: str) -> tuple[str, ...]:
    found: list[str] = []
    for span in filter(None, spans.split(", ")):
        first, _, last = span.partition(" to ")
        found += tested()[tested().index(first) : tested().index(last or first) + 1]
    return tuple(found)


@ft.cache
def _data() -> dict[str, dict[str, str]]:
    return paths.read_toml(_HISTORY_FILE)
