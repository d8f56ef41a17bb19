"""tune.json: a tuning run as data, described by tune.schema.json beside this file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jaxpad.tune import _wire
from jaxpad.tune._model import Candidate, Tuned

FILE = "tune.json"
SCHEMA = Path(__file__).parent / "tune.schema.json"
SCHEMA_VERSION = 1


def to_json(tuned: Tuned) -> dict[str, Any]:
    """The content of tune.json. `programs` counts the distinct ones, the baseline's included."""
    programs = {one.digest for one in tuned.compiled if one.digest}
    held = {key: value for key, value in _wire.plain(tuned).items() if key != "about"}
    return {
        "schema": SCHEMA_VERSION,
        "about": dict(tuned.about),
        "candidates": len(tuned.compiled),
        "programs": len(programs),
        **held,
    }


def from_json(given: dict[str, Any]) -> Tuned:
    """What `to_json` made. Raises KeyError or TypeError for anything else."""
    winner = given["winner"]
    return Tuned(
        about=given["about"],
        compiled=tuple(_wire.compiled(one) for one in given["compiled"]),
        measured=tuple(_wire.measured(one) for one in given["measured"]),
        confirmed=tuple(_wire.measured(one) for one in given["confirmed"]),
        winner=None if winner is None else Candidate.of(winner),
        seconds=given["seconds"],
    )


def text(tuned: Tuned) -> str:
    """tune.json's text. A ratio that is no number would be no JSON, and raises ValueError."""
    return json.dumps(to_json(tuned), indent=2, allow_nan=False) + "\n"
