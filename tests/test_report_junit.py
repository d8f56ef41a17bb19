"""junit.xml keeps to what its common readers accept."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from jaxpad.core.results import Report, Verdict
from jaxpad.report import to_junit
from test_report_samples import SHAPES, every_shape, reports

TOTALS = {"name", "tests", "failures", "errors", "time"}
# Elements, the attributes each must and may have, and what it may hold: Jenkins'
# junit-10.xsd, with `properties` allowed in a testcase as pytest writes them.
ALLOWED: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (TOTALS, set(), {"testsuite"}),
    "testsuite": (TOTALS, {"skipped", "timestamp", "hostname"}, {"properties", "testcase"}),
    "testcase": (
        {"name", "classname", "time"},
        set(),
        {"properties", "failure", "error", "skipped"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    **dict.fromkeys(("failure", "error", "skipped"), ({"type", "message"}, set(), set())),
}
TIME = re.compile(r"[0-9]+\.[0-9]{3}")


def assert_common(element: ET.Element) -> None:
    must, may, inside = ALLOWED[element.tag]
    assert must <= set(element.keys()) <= must | may, element.tag
    assert {child.tag for child in element} <= inside, element.tag
    assert TIME.fullmatch(element.get("time", "0.000"))
    for child in element:
        assert_common(child)


def assert_counts(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    assert int(element.attrib["tests"]) == len(cases)
    for total, outcome in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        found = sum(case.find(outcome) is not None for case in cases)
        assert int(element.get(total, found)) == found


@every_shape
def test_shape_is_common(report: Report) -> None:
    root = ET.fromstring(to_junit(report).encode())
    assert_common(root)
    assert_counts(root)
    for suite in root:
        assert_counts(suite)


@given(reports)
def test_any_report_is_common(report: Report) -> None:
    root = ET.fromstring(to_junit(report).encode())
    assert_common(root)
    assert len(root.findall("*/testcase")) == max(1, len(report.checks))


def case(name: str) -> ET.Element:
    found = ET.fromstring(to_junit(SHAPES["failed"])).find(f"*/testcase[@name='{name}']")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "outcome", "verdict"),
    [
        ("test_new_shape_recompiles", "failure", Verdict.FAIL),
        ("test_cache_hit", "error", Verdict.INCONCLUSIVE),
        ("test_peer_copy", "skipped", Verdict.NOT_APPLICABLE),
    ],
)
def test_verdict_becomes_outcome(name: str, outcome: str, verdict: Verdict) -> None:
    found = case(name).find(outcome)
    assert found is not None
    assert found.get("type") == verdict
    assert found.get("message")


def test_pass_has_no_outcome() -> None:
    assert not list(case("test_question_0"))


def test_failure_tells_all() -> None:
    text = case("test_new_shape_recompiles").findtext("failure") or ""
    assert "compiled 2 times" in text
    assert "Remedy: unset JAX_DISABLE_JIT" in text
    assert "AssertionError" in text


def test_numbers_are_properties() -> None:
    found = {p.get("name"): p.get("value") for p in case("test_rates").iter("property")}
    assert found["gemm float32 4096"] == "812.345"
    assert found["gemm float32 4096.unit"] == "GFLOP/s"
    assert found["gemm float32 4096.gate"] == "at least 500"
    assert "copy 1 GiB.gate" not in found


def test_rates_are_properties_of_the_suite_that_judges_them() -> None:
    root = ET.fromstring(to_junit(SHAPES["one slow GPU"]))
    suites = [suite for suite in root if suite.find("properties") is not None]
    assert [suite.get("name") for suite in suites] == ["throughput_gates"]
    found = {p.get("name"): p.get("value") for p in suites[0].iterfind("properties/property")}
    assert found["gemm bf16, GPU 5, all at once.verdict"] == "fail"
    assert float(found["gemm bf16, GPU 5, all at once"] or 0) < 593
    assert found["gemm bf16, GPU 5, all at once.gate"] == "593"
    assert found["all_reduce 1 GiB, all at once.unit"] == "GB/s"


def test_empty_run_is_an_error() -> None:
    root = ET.fromstring(to_junit(SHAPES["empty"]))
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
