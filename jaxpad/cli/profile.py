"""`profile.list`, `profile.show` and `profile.check`: profiles for people and for machines."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jaxpad import flags, profiles
from jaxpad.commands.profile import CheckOptions, FlagsOptions, ListOptions, ShowOptions
from jaxpad.core import paths, text
from jaxpad.profiles import listed, nearest


def list_command(options: ListOptions) -> int:
    """Print every profile with its description, and whose it is."""
    found = [profiles.load(name) for name in profiles.names()]
    rows = [
        {
            "name": p.name,
            "owner": paths.owner(p.path),
            "hides_shipped": paths.hides(p.path),
            "description": p.description,
            "extends": list(p.extends),
        }
        for p in found
    ]
    shown = rows if options.json else [row | {"owner": _owner(row)} for row in rows]
    _print_profiles(
        shown, as_json=options.json, columns=("name", "owner", "extends", "description")
    )
    return 0


def show_command(options: ShowOptions) -> int:
    """Print what a profile sets for the installed jaxlib: flags, variables, where each is from.

    Where there is no jaxlib it is for the newest that was tested, and stderr says so.
    A row's `owner` is whose the layer is that sets it.
    """
    profile = profiles.load(options.profile)
    owners = {one.name: paths.owner(one.path) for one in profiles.layers(profile)}
    given, notes = _as_read(os.environ)
    composed = profiles.compose(profile, given, _jaxlib_version())
    rows: list[dict[str, Any]] = [
        {"kind": "flag", "name": flag.name, "value": flag.value, "origin": flag.origin}
        for flag in composed.origins
    ]
    rows += [
        {"kind": "variable", **_variable(profile, name, composed.environ[name], value)}
        for name, value in profiles.environment(profile).items()
    ]
    rows = [row | {"owner": owners.get(row["origin"].removeprefix("profile "), "")} for row in rows]
    sys.stderr.write("".join(f"{note}\n" for note in notes))
    if not options.json:
        sys.stdout.write(f"{profile.name}: {paths.whose(profile.path)} ({profile.path})\n")
    _print_profiles(rows, as_json=options.json, columns=("kind", "name", "value", "origin"))
    return 0


def _as_read(environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment with the flags that XLA reads alone, and a note on what it never sees."""
    given, notes = dict(environ), []
    for name in ("XLA_FLAGS", "XLA_FLAGS_APPEND"):
        parsed = profiles.parse(environ.get(name, ""))
        if parsed.file is not None:
            notes.append(f"{name} is the path of a file to XLA, whose flags are not shown here")
            del given[name]
        elif parsed.stray is not None:
            lost = " ".join(flag.word for flag in parsed.lost) or "nothing more"
            notes.append(f"XLA stops reading {name} at {parsed.stray!r} and never sees: {lost}")
            given[name] = environ[name].removesuffix(parsed.dropped)
    return given, notes


def _variable(profile: profiles.Profile, name: str, own: str, value: str) -> dict[str, str]:
    """Who sets a variable: the caller's own value stays."""
    origin = f"profile {profile.name}" if own == value else "your environment"
    return {"name": name, "value": own, "origin": origin}


def _jaxlib_version() -> str:
    from jaxpad.machine import devices  # here: `profile.list` asks no package

    found = devices.installed().get("jaxlib")
    if found is None:
        found = flags.tested()[-1]
        sys.stderr.write(f"jaxlib is not installed here: this is for jaxlib {found}\n")
    return found


def _owner(row: dict[str, Any]) -> str:
    return f"{row['owner']}, hides the shipped" if row["hides_shipped"] else str(row["owner"])


def check_command(options: CheckOptions) -> int:
    """Check one profile or all against the format and the installed XLA.

    Raises UsageError, one sentence, for the first that does not hold.
    """
    from jaxpad.effects import matrix  # here: it needs more than a base install has

    rows = []
    for one in [options.profile] if options.profile else profiles.names():
        profile = profiles.load(one)
        notes = [*flags.check(profile), *filter(None, [matrix.unproven(profile)])]
        rows.append({"name": profile.name, "accepted": True, "notes": notes})
    _print_profiles(rows, as_json=options.json, columns=("name", "accepted", "notes"))
    return 0


def _print_profiles(
    rows: Sequence[dict[str, Any]], *, as_json: bool, columns: Sequence[str]
) -> None:
    if as_json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    cells = [tuple(_profile_words(row[column]) for column in columns) for row in rows]
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{line}\n" for line in text.columns([tuple(columns), *cells])))
        return
    from rich.console import Console  # here: a pipe needs none of it
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for cell in cells:
        table.add_row(*cell)
    Console().print(table)


def _profile_words(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )


# `profile.flags`: search the flags that the installed XLA knows.

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


def flags_command(options: FlagsOptions) -> int:
    """Print the flags that match; where none does, say on standard error what comes near."""
    found, match = search(options.match), options.match
    if not found:
        near = _near(match)
        hint = f"; the nearest are {listed(near)}" if near else "; try a shorter word"
        sys.stderr.write(f"no flag of jaxlib {flags.jaxlib_version()} matches {match!r}{hint}\n")
    if found or options.json:
        said = [column for column in _COLUMNS if any(row[column] for row in found)]
        _print_profiles(found, as_json=options.json, columns=said)
    if found and not options.json:
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
