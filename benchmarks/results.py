"""The last measurement of each benchmark, in results.json; `invoke docs` puts it in the README."""

from __future__ import annotations

import datetime
import json
import platform
from importlib import metadata
from pathlib import Path

from jaxpad.core import host

FILE = Path(__file__).parent / "results.json"


def note(name: str, *, what: str, value: str, command: str) -> None:
    """Print one measurement and keep it as the last of its name."""
    print(f"{what}: {value}")
    kept = json.loads(FILE.read_text()) if FILE.exists() else {"rows": []}
    rows = {row["name"]: row for row in kept["rows"]}
    rows[name] = {"name": name, "what": what, "value": value, "command": command}
    found = {
        "machine": _machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "rows": [rows[key] for key in sorted(rows)],
    }
    FILE.write_text(json.dumps(found, indent=2) + "\n")


def _machine() -> str:
    facts = host.summary()
    return (
        f"{facts['cpus']} CPU cores, {facts['memory']}, {facts['system']}, "
        f"Python {platform.python_version()}, jaxlib {metadata.version('jaxlib')}"
    )
