"""report.html as text: one file, nothing from elsewhere, nothing broken out of."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import example, given, settings

from jaxpad.core import markup
from jaxpad.core.reading import Reading
from jaxpad.core.results import Judgement, Report, Verdict
from jaxpad.nvml import Gap, Lost, Trace
from jaxpad.report import to_html as html_of, to_json
from properties import share
from shared import written
from test_report_samples import (
    CPU_RATES,
    FAILED,
    HOSTILE,
    NASTY,
    PASSED_CPU,
    SHAPES,
    TRACES,
    every_shape,
    reports,
    suite,
)

VOID = {"meta", "link", "wbr", "br"}
NEVER = {"img", "iframe", "object", "embed", "form", "input", "base", "audio", "video", "image"}
KIB = 1024
Made = Callable[[Report], str]


@pytest.fixture(scope="module")
def to_html(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The page of a report; that of a sample has its trace, and is made once for all tests."""
    made: dict[int, str] = {}

    def page(report: Report) -> str:
        if not any(report is shape for shape in SHAPES.values()):
            return html_of(report)
        if id(report) not in made:
            made[id(report)] = (written(tmp_path_factory, report) / "report.html").read_text()
        return made[id(report)]

    return page


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
def test_page_is_well_formed(to_html: Made, report: Report) -> None:
    page = Page(to_html(report))
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    assert page.tags.count("script") == page.tags.count("style") == 1
    assert not NEVER & set(page.tags)


@every_shape
def test_nothing_comes_from_elsewhere(to_html: Made, report: Report) -> None:
    text = to_html(report)
    page = Page(text)
    assert all(value == "data:," or value.startswith("#") for value in page.values("href", "src"))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not {"@import", "url("} & set(page.one("style").split())


@every_shape
def test_ids_are_unique_and_links_lead_somewhere(to_html: Made, report: Report) -> None:
    page = Page(to_html(report))
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [value[1:] for value in page.values("href") if value.startswith("#")]
    assert {*links, *page.values("aria-labelledby")} <= set(ids)


@every_shape
def test_json_is_embedded(to_html: Made, report: Report) -> None:
    assert json.loads(Page(to_html(report)).one("script")) == to_json(report)


@example(replace(PASSED_CPU, judgements=(Judgement(CPU_RATES[0], 0, Verdict.FAIL, peak=5e-324),)))
@given(reports)
def test_no_report_breaks_the_page(report: Report) -> None:
    text = html_of(report, pictures=False)
    page = Page(text)
    assert json.loads(page.one("script")) == to_json(report)
    assert page.tags.count("script") == 1


@settings(max_examples=share(20))  # pictures take a tenth of a second
@given(reports)
def test_no_report_breaks_its_pictures(report: Report) -> None:
    text = html_of(report)
    assert "Not drawn" not in text
    assert Page(text).tags.count("script") == 1


@every_shape
def test_headings_go_down_in_order(to_html: Made, report: Report) -> None:
    levels = [int(tag[1]) for tag in Page(to_html(report)).tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@every_shape
def test_every_table_is_labelled(to_html: Made, report: Report) -> None:
    page = Page(to_html(report))
    assert page.tags.count("table") == page.tags.count("caption") == page.tags.count("thead")
    assert set(page.values("scope")) <= {"col", "row"}
    assert page.tags.count("th") == len(page.values("scope"))


def order(text: str, *parts: str) -> bool:
    places = [text.index(part) for part in parts]
    return places == sorted(places)


def test_reader_meets_what_matters_first(to_html: Made) -> None:
    text = to_html(SHAPES["failed"])
    heading = f"<h1>Fail: 1 of {len(suite()) + 3} checks failed</h1>"
    assert order(
        text, heading, "JAX computes on", "What to do next", "Failed (1)", "Inconclusive (1)"
    )
    assert order(
        text, "Inconclusive (1)", "Topics", "Measurements", "Versions", "XLA flags", "Platform"
    )


def test_failure_tells_all(to_html: Made) -> None:
    text = to_html(SHAPES["failed"])
    told = text[text.index("<article") : text.index("</article>")]
    assert "compiled 2 times, expected 1" in told
    assert "unset JAX_DISABLE_JIT" in told
    assert "compiles 2, held to at most 1" in told
    assert "<details><summary>Traceback and output</summary><pre>def test_new_shape" in told


def test_verdict_by_word(to_html: Made) -> None:
    text = Page(to_html(SHAPES["failed"])).one("span")
    assert {verdict for verdict in Verdict if verdict in text} == set(Verdict)


def test_dropped_flags_are_loud(to_html: Made) -> None:
    text = to_html(SHAPES["flags cut short"])
    assert order(
        text, 'href="#xla-flags"', "What to do next", "drops the rest", "stray --xla_x=true"
    )
    assert "alarm" not in to_html(PASSED_CPU).partition("</style>")[2]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_size(to_html: Made, name: str) -> None:
    most = 1500 * KIB if name in TRACES else 150 * KIB
    assert len(to_html(SHAPES[name]).encode()) < most


NODES = ["healthy node", "one slow GPU", "lost GPU", "hostile node"]


@pytest.mark.parametrize("name", NODES)
def test_every_chart_is_drawn_and_told(to_html: Made, name: str) -> None:
    text = to_html(SHAPES[name])
    page = Page(text)
    assert "Not drawn" not in text
    assert page.tags.count("svg") == page.tags.count("figure") == page.tags.count("figcaption") > 15
    told = [value for tag, key, value in page.attributes if (tag, key) == ("svg", "aria-label")]
    assert len(set(told)) == page.tags.count("svg") == page.values("role").count("img")
    assert all(len(words.split()) > 3 for words in told)


@pytest.mark.parametrize("name", NODES)
def test_charts_ask_for_nothing_and_know_both_schemes(to_html: Made, name: str) -> None:
    text = to_html(SHAPES[name])
    drawn = text[text.index("<svg") : text.rindex("</svg>")]
    assert "#0000" not in drawn
    assert "http" not in drawn
    assert "var(--series)" in drawn


def test_hostile_words_stay_words(to_html: Made) -> None:
    text = to_html(SHAPES["hostile node"])
    assert HOSTILE not in text
    assert Page(text).tags.count("script") == 1


def test_lost_gpu_is_told(to_html: Made) -> None:
    text = to_html(SHAPES["lost GPU"])
    cards = text[text.index('id="gpus"') : text.index('id="rates"')]
    assert "stopped answering at 3:51: NVMLError_GpuIsLost" in cards
    assert cards.count('class="gpu fail"') == 1
    assert "drain the node" in cards
    assert "1 gap without samples, the longest 8.50 s: GPU 5 took 8.41 s to answer" in text
    assert text.count(">lost</text>") == 4  # in each picture of lanes


def test_slow_gpu_is_told(to_html: Made) -> None:
    text = to_html(SHAPES["one slow GPU"])
    assert "GPU 5: 14 rates" in text
    assert "37 to 72 % of peak, gate 593; fail: GPU 5." in text
    assert "T heat: GPU 5; P power cap: all GPUs." in text
    assert ">✗ GPU 5</text>" in text


def test_cpu_rates_are_called_so(to_html: Made) -> None:
    text = to_html(SHAPES["rates of a CPU"])
    assert "gemm float32 on the CPU" in text
    assert "A CPU has no gate and no peak here" in text
    assert "100 %" not in text


def test_nan_is_told_not_drawn(to_html: Made) -> None:
    text = to_html(SHAPES["NaN from a GPU"])
    assert "one by one no number" in text.lower()
    assert "Not drawn" not in text


def test_page_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    markup.lacking.cache_clear()
    try:
        text = html_of(SHAPES["one slow GPU"], TRACES["one slow GPU"])
    finally:
        markup.lacking.cache_clear()
    assert "<svg" not in text
    assert text.count("Pictures are drawn with matplotlib, which does not import") == 2
    assert "Power by GPU, W" in text


def test_interim_page_has_no_pictures() -> None:
    text = html_of(SHAPES["one slow GPU"], pictures=False)
    assert "<svg" not in text
    assert "This is an interim report" in text
    assert "gemm bf16: rates" in text


def test_failing_picture_costs_no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> str:
        raise OSError("no fonts")

    monkeypatch.setattr(markup, "_svg", broken)
    text = html_of(SHAPES["rates of a CPU"])
    assert "Not drawn: OSError: no fonts" in text
    assert "gemm float32 on the CPU: rates" in text


def test_overrides_are_told() -> None:
    text = html_of(replace(SHAPES["hostile node"], overrides=("gemm bf16: 0.4, not 0.6",)))
    assert order(text, "Bounds that are not as shipped", "gemm bf16: 0.4, not 0.6", "Roofline")


def test_size_with_ten_tracebacks(to_html: Made) -> None:
    failing = replace(FAILED, output="x = Array([0., 1.], dtype=float32)\n" * 100)
    report = replace(PASSED_CPU, checks=(*suite(), *[failing] * 10))
    assert len(to_html(report).encode()) < 150 * 1024


def odd_traces() -> dict[str, Trace]:
    whole = TRACES["hostile node"]
    gpu = whole.gpus[0]
    none: dict[str, tuple[float | None, ...]] = dict.fromkeys(gpu.columns, (None,))
    lost = Lost(0.0, "NVMLError_GpuIsLost: GPU is lost")
    return {
        "no GPUs": replace(whole, gpus=(), error="NVMLError_DriverNotLoaded: Driver Not Loaded"),
        "no samples": replace(whole, gpus=(replace(gpu, time_s=(), columns={}, lost=lost),)),
        "one sample": replace(
            whole, gpus=(replace(gpu, time_s=(1.0,), columns=none),), stop_s=0.0, gaps=()
        ),
        "gap alone": replace(whole, gaps=(Gap(-5.0, 1e5, NASTY),)),
        "unknown reasons": replace(
            whole,
            gpus=(
                replace(gpu, time_s=(1.0, 2.0), columns={"throttle_bits": (2.0**40, None)}),
                replace(gpu, pci_bus_id=Reading(None, NASTY), absent={"power_watts": NASTY}),
            ),
        ),
    }


@pytest.mark.parametrize("name", odd_traces())
@pytest.mark.parametrize("shape", ["passed on the GPU", "hostile"])
def test_odd_trace_is_drawn(name: str, shape: str) -> None:
    trace = odd_traces()[name]
    text = html_of(SHAPES[shape], trace)
    assert Page(text).tags.count("script") == 1
    assert "Not drawn" not in text
    assert text.count("<svg") >= (6 if trace.gpus else 0)
    assert trace.gpus or "Driver Not Loaded" in text
