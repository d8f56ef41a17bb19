"""A fleet's two files, each replaced whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxpad.core.codec import to_plain
from jaxpad.core.files import replace_all
from jaxpad.fleet.model import SCHEMA_VERSION, Fleet
from jaxpad.fleet.page import to_html
from jaxpad.fleet.text import SCHEDULERS, line

# fleet.json: a fleet as JSON data.


def to_json(found: Fleet) -> dict[str, Any]:
    """The content of fleet.json, as fleet.schema.json describes it."""
    return {
        "schema": SCHEMA_VERSION,
        "verdict": found.verdict.value,
        "exit_code": found.verdict.exit_code,
        "counts": found.counts,
        "drain": [
            {"node": node.name, "reason": node.drain}
            | {scheduler: line(node, scheduler) for scheduler in SCHEDULERS}
            for node in found.to_drain
        ],
        **to_plain(found),
    }


def write(
    found: Fleet, out: Path, *, scheduler: str = "slurm", pictures: bool = True
) -> dict[str, Path]:
    """Write fleet.json and fleet.html into `out`; the path of each by its name.

    Both are written in full before the first takes its name. Makes the folder. The page
    has the drain lines of `scheduler`, "slurm" or "kubernetes"; fleet.json has both.

    Raises UsageError if the folder cannot be written, or has no space.
    """
    contents = {
        "fleet.json": json.dumps(to_json(found), indent=1) + "\n",
        "fleet.html": to_html(found, scheduler, pictures=pictures),
    }
    replace_all(out, contents)
    return {name: out / name for name in contents}
