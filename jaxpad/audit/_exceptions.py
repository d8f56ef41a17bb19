"""requirements/audit.toml: advisories that are accepted, each with a reason and a last day."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from jaxpad.audit._model import Allowed
from jaxpad.errors import UsageError

_KEYS = {"id": str, "package": str, "why": str, "until": datetime.date}
_FORM = "expected id, package, why as text and until as a day, such as until = 2027-01-31"


def read(file: Path) -> tuple[Allowed, ...]:
    """The exceptions of a file; none where it is not there. Raises UsageError for a bad one."""
    if not file.exists():
        return ()
    try:
        found = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read as TOML: {error}; mend it") from error
    tables = found.pop("allow", [])
    if found or not isinstance(tables, list):
        raise UsageError(
            f"{file} holds {', '.join(sorted(found)) or 'a single allow'}; "
            "expected [[allow]] tables and nothing else"
        )
    return tuple(_allowed(file, number, table) for number, table in enumerate(tables, 1))


def _allowed(file: Path, number: int, table: Any) -> Allowed:
    if not isinstance(table, dict) or table.keys() != _KEYS.keys():
        given = ", ".join(sorted(table)) if isinstance(table, dict) else repr(table)
        raise UsageError(f"{file}: exception {number} holds {given or 'nothing'}; {_FORM}")
    for key, kind in _KEYS.items():
        # A datetime is a date to Python, yet not a day.
        if type(table[key]) is not kind or not str(table[key]).strip():
            raise UsageError(f"{file}: exception {number} has {key} = {table[key]!r}; {_FORM}")
    return Allowed(table["id"], canonicalize_name(table["package"]), table["why"], table["until"])
