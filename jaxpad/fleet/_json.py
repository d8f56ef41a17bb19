"""fleet.json: a fleet as JSON data."""

from __future__ import annotations

from typing import Any

from jaxpad.fleet._drain import SCHEDULERS, line
from jaxpad.fleet._model import SCHEMA_VERSION, Fleet
from jaxpad.report._plain import to_plain


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
