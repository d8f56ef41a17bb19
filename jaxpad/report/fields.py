"""The schema of smoke.json, and the table of its fields in docs/report.md.

`invoke docs` renews the table there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

Schema = Mapping[str, Any]


def schema(name: str = "report/smoke") -> dict[str, Any]:
    """The JSON Schema of smoke.json, or that of another name, a fresh copy."""
    text = (resources.files("jaxpad") / f"{name}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def table(name: str = "report/smoke") -> str:
    """Every field as a row of a Markdown table: path, type, meaning."""
    whole = schema(name)
    rows = (
        f"| `{path}` | {_type(part)} | {_meaning(part)} |" for path, part in _fields(whole, whole)
    )
    return "\n".join(("| field | type | meaning |", "| --- | --- | --- |", *rows)) + "\n"


def _fields(part: Schema, whole: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Path and schema of all that lies below `part`, depth first."""
    for name, entry in part.get("properties", {}).items():
        yield from _field(entry, whole, f"{path}.{name}".lstrip("."))
    if "items" in part:
        yield from _below(part["items"], whole, f"{path}[]")
    if isinstance(part.get("additionalProperties"), Mapping):
        yield from _below(part["additionalProperties"], whole, f"{path}.<name>")


def _field(entry: Schema, whole: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, _resolved(entry, whole)
    yield from _below(entry, whole, path)


def _below(entry: Schema, whole: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield from _fields(_resolved(entry, whole), whole, path)


def _resolved(entry: Schema, whole: Schema) -> Schema:
    name = entry.get("$ref", "").removeprefix("#/$defs/")
    return whole["$defs"][name] if name else entry


def _type(part: Schema) -> str:
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return " or ".join(kinds)


def _meaning(part: Schema) -> str:
    return str(part["description"]).replace("|", "\\|")
