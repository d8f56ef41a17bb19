"""smoke.json: valid by its schema in every shape, and read back as the same report."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from jaxpad.core import results
from jaxpad.core.results import Report, UsageError, Verdict
from jaxpad.report import from_json, to_json
from jaxpad.report.data import DERIVED
from test_report_samples import PASSED_CPU, SHAPES, every_shape, reports as any_report
from tools import docs

SCHEMA = docs.schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CLASSES = {
    "fact": results.Fact,
    "platform": results.Platform,
    "device": results.Device,
    "xla_flags": results.XlaFlags,
    "flag": results.EffectiveFlag,
    "check": results.CheckResult,
    "measurement": results.Measurement,
    "rate": results.Rate,
    "judgement": results.Judgement,
    "gpu": results.Gpu,
    "gpu_finding": results.GpuFinding,
}


# With bytes that are no text, infinity, or NaN, which differs from itself.
NOT_AS_THEY_WERE = {"hostile", "hostile node", "odd numbers", "NaN from a GPU"}


def through_text(report: Report) -> dict[str, Any]:
    """As a reader gets it, in JSON that any parser takes."""
    text = json.dumps(to_json(report), allow_nan=False).encode("utf-8", "strict")
    content: dict[str, Any] = json.loads(text)
    return content


@every_shape
def test_shape_is_valid(report: Report) -> None:
    VALIDATOR.validate(through_text(report))


@given(any_report)
def test_any_report_is_valid_and_comes_back(report: Report) -> None:
    content = through_text(report)
    VALIDATOR.validate(content)
    assert from_json(content) == report


@pytest.mark.parametrize("name", sorted(SHAPES.keys() - NOT_AS_THEY_WERE))
def test_shape_comes_back(name: str) -> None:
    assert from_json(through_text(SHAPES[name])) == SHAPES[name]


def test_hostile_bytes_are_replaced_once() -> None:
    once = from_json(through_text(SHAPES["hostile"]))
    assert from_json(through_text(once)) == once
    assert "\ufffd" in once.node


def test_numbers_json_lacks() -> None:
    first = through_text(SHAPES["odd numbers"])["checks"][0]["measurements"][0]
    assert (first["value"], first["spread"]) == ("nan", None)


@every_shape
def test_once_read_it_stays(report: Report) -> None:
    once = to_json(from_json(through_text(report)))
    assert to_json(from_json(once)) == once


def test_nan_rate_is_null_and_comes_back() -> None:
    content = through_text(SHAPES["NaN from a GPU"])
    assert content["rates"][0]["median"] is None
    assert math.isnan(from_json(content).rates[0].median)
    content["rates"][0]["start_s"] = None
    with pytest.raises(UsageError, match=r"report.rates\[0\].start_s is None"):
        from_json(content)


def test_yes_is_no_number() -> None:
    content = through_text(SHAPES["hostile node"])
    content["rates"][0]["device"] = True
    with pytest.raises(UsageError, match=r"report.rates\[0\].device is True"):
        from_json(content)


@every_shape
def test_verdict_is_derived(report: Report) -> None:
    content = to_json(report)
    assert content["verdict"] == report.verdict
    assert content["exit_code"] == report.verdict.exit_code
    assert sum(content["counts"].values()) == len(report.checks)
    assert content["counts"].keys() == set(Verdict)


def test_strings_are_plain() -> None:
    assert type(to_json(PASSED_CPU)["checks"][0]["verdict"]) is str


def test_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == f"urn:jaxpad:smoke:{results.SCHEMA_VERSION}"
    assert SCHEMA["properties"]["schema"]["const"] == results.SCHEMA_VERSION


def test_schema_has_the_models_fields() -> None:
    assert list(SCHEMA["properties"]) == [*DERIVED, *names_of(Report)]
    for name, kind in CLASSES.items():
        assert list(SCHEMA["$defs"][name]["properties"]) == names_of(kind), name
    assert SCHEMA["$defs"].keys() == CLASSES.keys()


def names_of(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def parts(part: Any) -> Iterator[dict[str, Any]]:
    """Every schema in the schema."""
    if isinstance(part, dict):
        if "type" in part or "enum" in part or "const" in part:
            yield part
        for name in ("properties", "$defs"):
            for entry in part.get(name, {}).values():
                yield from parts(entry)


def test_schema_is_closed_and_described() -> None:
    for part in parts(SCHEMA):
        assert part["description"]
        if "properties" in part:
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


@pytest.mark.parametrize("version", [0, 1, "2", None])
def test_other_version_is_refused(version: object) -> None:
    with pytest.raises(UsageError, match=r"has schema .* reads schema 2; read it with"):
        from_json(to_json(PASSED_CPU) | {"schema": version})


@pytest.mark.parametrize("content", [{}, [], "text", None])
def test_other_json_is_refused(content: Any) -> None:
    with pytest.raises(UsageError, match="this report has schema None"):
        from_json(content)


BROKEN = {
    "report.node is missing": ("node", ...),
    "report.nodes is not a field": ("nodes", "x"),
    "report.seconds is 'long'": ("seconds", "long"),
    "report.seconds is True": ("seconds", True),
    "report.profile is 3": ("profile", 3),
    "report.checks is 'none'": ("checks", "none"),
    r"report.checks\[0\] is not an object": ("checks", ["pass"]),
    r"report.command\[1\] is 1": ("command", ["jaxpad", 1]),
    "report.versions.jax.value is 1": ("versions", {"jax": {"value": 1, "reason": None}}),
    "report.environment is None": ("environment", None),
}


@pytest.mark.parametrize(("sentence", "change"), BROKEN.items(), ids=BROKEN)
def test_broken_field_is_named(sentence: str, change: tuple[str, Any]) -> None:
    name, value = change
    content = to_json(PASSED_CPU) | {name: value}
    if value is ...:
        del content[name]
    with pytest.raises(UsageError, match=sentence):
        from_json(content)


def test_unknown_verdict_is_named() -> None:
    content = through_text(PASSED_CPU)
    content["checks"][3]["verdict"] = "maybe"
    with pytest.raises(UsageError, match=r"report.checks\[3\].verdict is 'maybe', not one of pass"):
        from_json(content)
