"""report.html as text: one file, nothing from elsewhere, nothing broken out of."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given

from jaxpad.report import Report, to_html, to_json
from jaxpad.verdict import Verdict
from test_report_samples import FAILED, PASSED_CPU, SHAPES, every_shape, reports, suite

VOID = {"meta", "link", "wbr"}
NEVER = {"img", "iframe", "object", "embed", "form", "input", "base", "svg", "audio", "video"}


class Page(HTMLParser):
    """The page's elements, checked for nesting as they come."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == [], "elements left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def one(self, tag: str) -> str:
        return "".join(self.texts[tag])

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]


@every_shape
def test_page_is_well_formed(report: Report) -> None:
    page = Page(to_html(report))
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not NEVER & set(page.tags)


@every_shape
def test_nothing_comes_from_elsewhere(report: Report) -> None:
    text = to_html(report)
    page = Page(text)
    assert all(value == "data:," or value.startswith("#") for value in page.values("href", "src"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not {"@import", "url("} & set(page.one("style").split())


@every_shape
def test_ids_are_unique_and_links_lead_somewhere(report: Report) -> None:
    page = Page(to_html(report))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [value[1:] for value in page.values("href") if value.startswith("#")]
    assert {*links, *page.values("aria-labelledby")} <= set(ids)


@every_shape
def test_json_is_embedded(report: Report) -> None:
    assert json.loads(Page(to_html(report)).one("script")) == to_json(report)


@given(reports)
def test_no_report_breaks_the_page(report: Report) -> None:
    page = Page(to_html(report))
    assert json.loads(page.one("script")) == to_json(report)
    assert page.tags.count("script") == 1


@every_shape
def test_headings_go_down_in_order(report: Report) -> None:
    levels = [int(tag[1]) for tag in Page(to_html(report)).tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@every_shape
def test_every_table_is_labelled(report: Report) -> None:
    page = Page(to_html(report))
    assert page.tags.count("table") == page.tags.count("caption") == page.tags.count("thead")
    assert set(page.values("scope")) <= {"col", "row"}
    assert page.tags.count("th") == len(page.values("scope"))


def order(text: str, *parts: str) -> bool:
    places = [text.index(part) for part in parts]
    return places == sorted(places)


def test_reader_meets_what_matters_first() -> None:
    text = to_html(SHAPES["failed"])
    heading = f"<h1>Fail: 1 of {len(suite()) + 3} checks failed</h1>"
    assert order(
        text, heading, "JAX computes on", "What to do next", "Failed (1)", "Inconclusive (1)"
    )
    assert order(
        text, "Inconclusive (1)", "Topics", "Measurements", "Versions", "XLA flags", "Platform"
    )


def test_failure_tells_all() -> None:
    text = to_html(SHAPES["failed"])
    told = text[text.index("<article") : text.index("</article>")]
    assert "compiled 2 times, expected 1" in told
    assert "unset JAX_DISABLE_JIT" in told
    assert "compiles 2, held to at most 1" in told
    assert "<details><summary>Traceback and output</summary><pre>def test_new_shape" in told


def test_verdict_by_word() -> None:
    text = Page(to_html(SHAPES["failed"])).one("span")
    assert {verdict for verdict in Verdict if verdict in text} == set(Verdict)


def test_dropped_flags_are_loud() -> None:
    text = to_html(SHAPES["flags cut short"])
    assert order(
        text, 'href="#xla-flags"', "What to do next", "drops the rest", "stray --xla_x=true"
    )
    assert "alarm" not in to_html(PASSED_CPU).partition("</style>")[2]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_size(name: str) -> None:
    assert len(to_html(SHAPES[name]).encode()) < 150 * 1024


def test_size_with_ten_tracebacks() -> None:
    failing = replace(FAILED, output="x = Array([0., 1.], dtype=float32)\n" * 100)
    report = replace(PASSED_CPU, checks=(*suite(), *[failing] * 10))
    assert len(to_html(report).encode()) < 150 * 1024
