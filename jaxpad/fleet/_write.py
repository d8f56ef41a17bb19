"""A fleet's two files, each replaced whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from jaxpad.fleet._html import to_html
from jaxpad.fleet._json import to_json
from jaxpad.fleet._model import Fleet
from jaxpad.report._files import replace_all


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
