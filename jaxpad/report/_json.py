"""smoke.json: a report as JSON data, and back."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.report._text import unicode
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
        **_plain(report),
    }


def _plain(value: Any, kind: Any = None) -> Any:
    if isinstance(value, str):
        return unicode(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) if str in typing.get_args(kind) else None
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {unicode(key): _plain(entry) for key, entry in value.items()}
    return _fields(value) if dataclasses.is_dataclass(value) else value


def _fields(value: Any) -> dict[str, Any]:
    kind: Any = type(value)
    hints = _types(kind)
    return {name: _plain(getattr(value, name), hint) for name, hint in hints.items()}


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
    report = _revive(Report, content, "report")
    assert isinstance(report, Report)
    return report


@cache
def _types(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _revive(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind`, a type of the model: dataclass, tuple, dict, union or scalar."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _revive_fields(kind, value, where)
    if origin is tuple:
        entries = enumerate(_scalar(list, value, where))
        return tuple(_revive(arguments[0], entry, f"{where}[{at}]") for at, entry in entries)
    if origin is dict:
        pairs = _scalar(dict, value, where).items()
        return {name: _revive(arguments[1], entry, f"{where}.{name}") for name, entry in pairs}
    return _verdict(value, where) if kind is Verdict else _scalar(kind, value, where)


def _revive_fields(kind: Any, value: Any, where: str) -> Any:
    hints = _types(kind)
    if not isinstance(value, Mapping):
        raise _wrong(where, f"is not an object but {value!r:.40}")
    if odd := sorted(value.keys() ^ hints.keys()):
        raise _wrong(f"{where}.{odd[0]}", "is missing" if odd[0] in hints else "is not a field")
    return kind(**{name: _revive(hints[name], value[name], f"{where}.{name}") for name in hints})


def _verdict(value: Any, where: str) -> Verdict:
    try:
        return Verdict(value)
    except ValueError:
        raise _wrong(where, f"is {value!r:.40}, not one of {', '.join(Verdict)}") from None


def _scalar(kind: Any, value: Any, where: str) -> Any:
    accepted = kind | int if float in (kind, *typing.get_args(kind)) else kind
    if isinstance(value, accepted) and not isinstance(value, bool):
        return value
    raise _wrong(where, f"is {value!r:.40}, not of type {getattr(kind, '__name__', kind)}")


def _wrong(where: str, what: str) -> UsageError:
    return UsageError(
        f"not a smoke.json of schema {SCHEMA_VERSION}: {where} {what}; "
        "take the file as jaxpad wrote it, or run the smoke suite again"
    )
