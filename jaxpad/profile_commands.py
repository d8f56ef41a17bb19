"""`profile.list`, `profile.show` and `profile.check`: profiles for people and for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jaxpad import devices, flags, paths, profiles


def list_(*, as_json: bool) -> int:
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
    shown = rows if as_json else [row | {"owner": _owner(row)} for row in rows]
    _print(shown, as_json=as_json, columns=("name", "owner", "extends", "description"))
    return 0


def show(name: str, *, as_json: bool) -> int:
    """Print what a profile sets for the installed jaxlib: flags, variables, where each is from.

    Where there is no jaxlib it is for the newest that was tested, and stderr says so.
    A row's `owner` is whose the layer is that sets it.
    """
    profile = profiles.load(name)
    owners = {one.name: paths.owner(one.path) for one in profiles.layers(profile)}
    composed = profiles.compose(profile, {}, _jaxlib_version())
    rows: list[dict[str, Any]] = [
        {"kind": "flag", "name": flag.name, "value": flag.value, "origin": flag.origin}
        for flag in composed.origins
    ]
    rows += [
        {"kind": "variable", "name": name, "value": value, "origin": f"profile {profile.name}"}
        for name, value in profiles.environment(profile).items()
    ]
    rows = [row | {"owner": owners[row["origin"].removeprefix("profile ")]} for row in rows]
    if not as_json:
        sys.stdout.write(f"{profile.name}: {paths.whose(profile.path)} ({profile.path})\n")
    _print(rows, as_json=as_json, columns=("kind", "name", "value", "origin"))
    return 0


def _jaxlib_version() -> str:
    found = devices.installed().get("jaxlib")
    if found is None:
        found = flags.tested()[-1]
        sys.stderr.write(f"jaxlib is not installed here: this is for jaxlib {found}\n")
    return found


def _owner(row: dict[str, Any]) -> str:
    return f"{row['owner']}, hides the shipped" if row["hides_shipped"] else str(row["owner"])


def check(name: str | None, *, as_json: bool) -> int:
    """Check one profile or all against the format and the installed XLA.

    Raises UsageError, one sentence, for the first that does not hold.
    """
    from jaxpad import matrix  # here: it needs more than a base install has

    rows = []
    for one in [name] if name else profiles.names():
        profile = profiles.load(one)
        notes = [*flags.check(profile), *filter(None, [matrix.unproven(profile)])]
        rows.append({"name": profile.name, "accepted": True, "notes": notes})
    _print(rows, as_json=as_json, columns=("name", "accepted", "notes"))
    return 0


def _print(rows: Sequence[dict[str, Any]], *, as_json: bool, columns: Sequence[str]) -> None:
    if as_json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_words(row[column]) for column in columns))
    Console().print(table)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return (
        {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
    )
