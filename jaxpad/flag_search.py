"""`profile.flags`: search the flags that the installed XLA knows."""

from __future__ import annotations

import re
import sys
from typing import Any

from jaxpad import flags
from jaxpad.profile_commands import _print
from jaxpad.profiles import listed, nearest

_COLUMNS = ("name", "type", "default", "choices", "deprecated", "plugin")


def search(match: str) -> list[dict[str, Any]]:
    """The flags whose name or choices hold every word of `match`, in alphabetical order.

    Names, types and choices come from the description of DebugOptions that jaxlib's library
    carries, defaults from XLA itself; neither holds a word of documentation. `plugin` says
    where the CUDA plugin, which compiles for GPUs, was built from another XLA: empty where
    the two agree. A flag that XLA takes and that sets no option of its own (an older
    spelling, or one that has no effect any more) has the type `no option`.

    Raises UsageError as `jaxpad.flags.catalogue` does.
    """
    words = [word for word in re.split(r"[\s-]+", match.lower()) if word]
    rows = sorted(_rows(), key=lambda row: str(row["name"]))
    return [row for row in rows if all(word in _text(row) for word in words)]


def flags_(match: str, *, as_json: bool) -> int:
    """Print the flags that match; where none does, say on standard error what comes near."""
    found = search(match)
    if not found:
        near = _near(match)
        hint = f"; the nearest are {listed(near)}" if near else "; try a shorter word"
        sys.stderr.write(f"no flag of jaxlib {flags.jaxlib_version()} matches {match!r}{hint}\n")
    if found or as_json:
        said = [column for column in _COLUMNS if any(row[column] for row in found)]
        _print(found, as_json=as_json, columns=said)
    if found and not as_json:
        sys.stderr.write(f"{_summary(len(found))}\n")
    return 0


def _rows() -> list[dict[str, Any]]:
    options = {name: option for name, option in flags.catalogue().items() if option.flag}
    rows = [
        _row(name, option.type, option.default, option.choices, option.deprecated)
        for name, option in options.items()
    ]
    version, differ = flags.jaxlib_version(), flags.disagreements() or {}
    taken = {name for name, releases in flags.history().items() if version in releases}
    rows += [_row(name, "no option") for name in taken - set(flags.catalogue())]
    rows += [_row(name, "unknown") for name in set(differ) - set(flags.catalogue()) - taken]
    return rows


def _row(
    name: str, kind: str, default: str = "", choices: tuple[str, ...] = (), deprecated: bool = False
) -> dict[str, Any]:
    differ = flags.disagreements()
    return {
        "name": name,
        "type": kind,
        "default": default,
        "choices": list(choices),
        "deprecated": deprecated,
        "plugin": "not installed" if differ is None else differ.get(name, ""),
    }


def _text(row: dict[str, Any]) -> str:
    return " ".join([row["name"], *row["choices"]]).lower()


def _summary(count: int) -> str:
    differ = flags.disagreements()
    found = f"{count} flag{'s' if count != 1 else ''} of jaxlib {flags.jaxlib_version()}"
    if differ is None:
        return f"{found}; the CUDA plugin is not installed, so nothing is compared with it"
    if differ:
        return f"{found}; {len(differ)} are not the same in the CUDA plugin: see its column"
    return f"{found}; the CUDA plugin knows the same ones"


def _near(match: str) -> tuple[str, ...]:
    """Three names that come near: alike as a whole, else with a word alike."""
    known = [str(row["name"]) for row in _rows()]
    text = "_".join(re.split(r"[\s-]+", match.lower()))
    parts = {part for name in known for part in name.split("_")}
    alike = {word for given in text.split("_") for word in nearest(given, parts)}
    whole = nearest(text, known) or nearest(f"xla_gpu_{text}", known)
    return whole or tuple(name for name in sorted(known) if alike & set(name.split("_")))[:3]
