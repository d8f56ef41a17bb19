"""smoke.json: a report as JSON data, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.report._plain import Misfit, revive, to_plain
from jaxpad.results import SCHEMA_VERSION, Report
from jaxpad.verdict import Verdict

DERIVED = ("schema", "verdict", "exit_code", "counts")  # worked out from the rest


def to_json(report: Report) -> dict[str, Any]:
    """The content of smoke.json, as smoke.schema.json describes it.

    JSON has no infinity and no NaN: as a measured value they become words, elsewhere null.
    """
    return {
        "schema": SCHEMA_VERSION,
        "verdict": report.verdict.value,
        "exit_code": report.verdict.exit_code,
        "counts": {verdict.value: report.count(verdict) for verdict in Verdict},
        **to_plain(report),
    }


def from_json(data: Mapping[str, Any]) -> Report:
    """The report that `to_json` gave.

    Raises UsageError for another schema version, and where a field is missing, unknown
    or of another type than the schema's.
    """
    if not isinstance(data, Mapping) or data.get("schema") != SCHEMA_VERSION:
        version = data.get("schema") if isinstance(data, Mapping) else None
        raise UsageError(
            f"this report has schema {version!r} and this jaxpad reads schema {SCHEMA_VERSION}; "
            "read it with the jaxpad version that it names, or run the smoke suite again"
        )
    content = {name: value for name, value in data.items() if name not in DERIVED}
    try:
        report = revive(Report, content, "report")
    except Misfit as misfit:
        raise UsageError(
            f"not a smoke.json of schema {SCHEMA_VERSION}: {misfit}; "
            "take the file as jaxpad wrote it, or run the smoke suite again"
        ) from None
    assert isinstance(report, Report)
    return report
