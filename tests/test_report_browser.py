"""report.html in a real browser that has no network."""

from __future__ import annotations

import importlib.util
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

import programs
import report_nodes as nodes
from jaxpad.core.results import Report
from jaxpad.report import to_json, write
from shared import written
from test_report_samples import HEALTHY, SHAPES, every_shape

ARGUMENTS = [
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE: ViewportSize = {"width": 360, "height": 740}
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
NODES = ["healthy node", "one slow GPU", "lost GPU", "hostile node"]
MOST_BYTES = 1_500_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path  # where Playwright puts the one it brings
        path = programs.browser() or own
        if not Path(path).exists():
            pytest.fail("these tests open a browser: apt-get install -y chromium")
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


class Opened:
    """A report in a tab, with all that the tab complained of or asked for."""

    def __init__(self, browser: Browser, file: Path, scheme: str = "light") -> None:
        context = browser.new_context(offline=True, color_scheme=scheme)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.evaluate(
            "document.querySelectorAll('details[open]').forEach(d => d.dataset.first = 'open')"
        )

    def overflow(self) -> int:
        script = "document.documentElement.scrollWidth - window.innerWidth"
        return int(self.page.evaluate(script))

    def reset(self) -> None:
        """As it was first shown."""
        self.page.set_viewport_size(DESKTOP)
        self.page.emulate_media(media="screen")
        self.page.evaluate(
            "document.querySelectorAll('details')"
            ".forEach(d => d.open = d.dataset.first === 'open');"
            "document.activeElement.blur(); window.scrollTo(0, 0)"
        )

    def open_all(self) -> None:
        self.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


class Shown(Protocol):
    """A page in a tab."""

    page: Page

    def reset(self) -> None: ...


S = TypeVar("S", bound=Shown)


class Tabs(Generic[S]):
    """Pages that stay open, each in a tab of its own, for the tests that look at one after another.

    A tab comes back as it was first shown: on a desktop, on a screen, with nothing unfolded. What
    it has complained of and asked for since it was opened stays in it.
    """

    MOST = 8  # tabs; one takes 100 MB

    def __init__(self, opener: Callable[..., S]) -> None:
        self._opener = opener
        self._open: dict[tuple[Any, ...], S] = {}

    def __call__(self, *about: Any) -> S:
        found = self._open.pop(about, None) or self._opener(*about)
        self._open[about] = found  # the last one used is the last one
        if len(self._open) > self.MOST:
            self.close(next(iter(self._open)))
        found.reset()
        return found

    def close(self, about: tuple[Any, ...]) -> None:
        self._open.pop(about).page.context.close()

    def close_all(self) -> None:
        for about in list(self._open):
            self.close(about)


@pytest.fixture(scope="module")
def tabs(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tabs[Opened]]:
    def opened(name: str, scheme: str) -> Opened:
        file = written(tmp_path_factory, SHAPES[name]) / "report.html"
        return Opened(browser, file, scheme)

    found = Tabs(opened)
    yield found
    found.close_all()


Opener = Callable[..., Opened]


@pytest.fixture(scope="module")
def open_report(tabs: Tabs[Opened]) -> Opener:
    """`open_report(report, scheme="light")`: a report in a tab, as it is first shown."""
    names = {id(report): name for name, report in SHAPES.items()}
    return lambda report, scheme="light": tabs(names[id(report)], scheme)


@pytest.fixture
def failed(open_report: Opener) -> Opened:
    return open_report(SHAPES["failed"])


@every_shape
def test_opens_quietly_and_offline(open_report: Opener, report: Report) -> None:
    opened = open_report(report)
    assert opened.complaints == []
    asked = [url for url in opened.requests if not url.startswith("data:")]
    assert asked == [opened.page.url]
    assert opened.page.locator("h1").is_visible()
    assert opened.page.locator("script, img").count() == 1  # the JSON; hostile text made none
    embedded = opened.page.locator("#smoke-json").text_content() or ""
    assert json.loads(embedded) == to_json(report)


@every_shape
def test_fits_a_phone(open_report: Opener, report: Report) -> None:
    opened = open_report(report)
    opened.page.set_viewport_size(PHONE)
    opened.open_all()
    assert opened.overflow() <= 0


def test_verdict_is_on_the_first_screen(failed: Opened) -> None:
    failed.page.set_viewport_size(PHONE)
    for name in ("Fail: 1 of 66 checks failed", "What to do next"):
        box = failed.page.get_by_role("heading", name=name).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < PHONE["height"]


def test_traceback_opens_by_keyboard(failed: Opened) -> None:
    article = failed.page.locator("article.fail")
    assert not article.locator("pre").is_visible()
    article.locator("summary").press("Enter")
    assert article.locator("pre").is_visible()
    assert "AssertionError" in article.locator("pre").inner_text()


def test_tables_have_names_for_screen_readers(failed: Opened) -> None:
    table = failed.page.get_by_role("table", name="Checks by topic")
    assert table.get_by_role("columnheader", name="inconclusive").is_visible()
    assert table.get_by_role("rowheader", name="jit").is_visible()


def test_paper_shows_what_is_folded(failed: Opened) -> None:
    failed.page.emulate_media(media="print")
    assert failed.page.locator("article.fail pre").is_visible()
    assert failed.page.pdf()[:4] == b"%PDF"


# Every element with text of its own: WCAG 2 contrast of its colour on the nearest
# background that is not transparent.
CONTRASTS = """
() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => {
    const [r, g, b] = rgb(colour).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  // A letter on a bar has the page's colour: the same contrast as the bar has to the page.
  const all = '*:not(script):not([style*="fill:var(--page)"])';
  return [...document.body.querySelectorAll(all)].filter(own).map(e => {
    const ink = e instanceof SVGElement ? "fill" : "color";
    const pair = [light(getComputedStyle(e)[ink]), light(behind(e))].sort((a, b) => b - a);
    return [(pair[0] + 0.05) / (pair[1] + 0.05), e.outerHTML.slice(0, 80)];
  });
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["failed", "flags cut short", "passed on the CPU", "one slow GPU", "rates of a CPU"]
)
def test_contrast(open_report: Opener, scheme: str, name: str) -> None:
    """At least 4.5 to 1: WCAG 2.2, criterion 1.4.3."""
    opened = open_report(SHAPES[name], scheme)
    opened.open_all()
    found = opened.page.evaluate(CONTRASTS)
    assert len(found) > 50
    assert [(round(ratio, 2), element) for ratio, element in found if ratio < 4.5] == []


def test_schemes_differ(open_report: Opener) -> None:
    script = "getComputedStyle(document.body).backgroundColor"
    tabs = [open_report(SHAPES["failed"], scheme) for scheme in ("light", "dark")]
    found = [tab.page.evaluate(script) for tab in tabs]
    assert found == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", [*NODES, "rates of a CPU"])
def test_screenshot(open_report: Opener, name: str, size: ViewportSize) -> None:
    """The whole page, which is neither blank nor wider than the window."""
    opened = open_report(SHAPES[name])
    opened.page.set_viewport_size(size)
    assert opened.overflow() <= 0
    picture = Image.open(io.BytesIO(opened.page.screenshot(full_page=True)))
    assert picture.width == size["width"]
    assert picture.height > 2 * size["height"]
    assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 50


def test_charts_are_drawn_where_they_stand(open_report: Opener) -> None:
    opened = open_report(SHAPES["one slow GPU"])
    opened.page.set_viewport_size(DESKTOP)
    charts = opened.page.locator("figure svg")
    assert charts.count() > 15
    for at in range(charts.count()):
        picture = Image.open(io.BytesIO(charts.nth(at).screenshot()))
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10


# Of each chart, pairs of texts that lie on each other by more than two pixels either way.
OVERLAPS = """
() => [...document.querySelectorAll("figure svg")].flatMap(svg => {
  const texts = [...svg.querySelectorAll("text")]
    .map(t => [t.textContent, t.getBoundingClientRect()]);
  return texts.flatMap(([one, a], at) => texts.slice(at + 1).filter(([_, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4
  ).map(([other]) => `${svg.id}: ${one} / ${other}`));
})
"""
# Of each chart, texts that stick out of it.
OUTSIDE = """
() => [...document.querySelectorAll("figure svg")].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(t => {
    const b = t.getBoundingClientRect();
    return b.left < box.left - 1 || b.right > box.right + 1;
  }).map(t => `${svg.id}: ${t.textContent}`);
})
"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", [*NODES, "rates of a CPU"])
def test_labels_lie_apart(open_report: Opener, name: str, size: ViewportSize) -> None:
    opened = open_report(SHAPES[name])
    opened.page.set_viewport_size(size)
    assert opened.page.evaluate(OVERLAPS) == []
    assert opened.page.evaluate(OUTSIDE) == []


def violations(opened: Opened) -> list[tuple[str, str, str]]:
    """What axe-core finds in a report that is serious or critical."""
    return violations_of(opened.page)


# Marks every text that looks like an earlier one: the same colours, size, weight and place among
# its elements. axe-core takes a hundredth of a second for the colours of each, and a page has
# thousands in a few dozen looks.
TWINS = """
() => {
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/^rgba.*, 0\\)$/.test(colour)) return colour;
    }
    return "";
  };
  const path = e => e === document.body ? "" :
    path(e.parentElement) + ">" + e.tagName + "." + (e.getAttribute("class") || "");
  const seen = new Set();
  for (const e of document.body.querySelectorAll("*")) {
    if (e.childElementCount || !e.textContent.trim()) continue;
    const s = getComputedStyle(e);
    const shown = e.getClientRects().length > 0;
    const look = [s.color, s.fill, s.fontSize, s.fontWeight, s.opacity, s.visibility, s.textShadow,
      s.backgroundImage, shown, behind(e), path(e)].join("|");
    if (seen.has(look)) e.setAttribute("data-twin", ""); else seen.add(look);
  }
  return seen.size;
}
"""
COLOURS = "{runOnly: {type: 'rule', values: ['color-contrast']}, resultTypes: ['violations']}"
OTHERS = "{rules: {'color-contrast': {enabled: false}}, resultTypes: ['violations']}"


def violations_of(page: Page) -> list[tuple[str, str, str]]:
    """What axe-core finds that is serious or critical: rule, impact, first element.

    Its rules look at the whole page; the one of contrast at one text of each look.
    """
    package = importlib.util.find_spec("axe_playwright_python")  # axe-core's script lies in it
    assert package is not None
    assert package.origin is not None
    page.evaluate(Path(package.origin).with_name("axe.min.js").read_text())
    found: list[dict[str, Any]] = page.evaluate(f"axe.run({OTHERS}).then(r => r.violations)")
    assert page.evaluate(TWINS) > 5
    found += page.evaluate(
        f"axe.run({{exclude: ['[data-twin]']}}, {COLOURS}).then(r => r.violations)"
    )
    page.evaluate("document.querySelectorAll('[data-twin]').forEach(e => delete e.dataset.twin)")
    return [
        (one["id"], one["impact"], one["nodes"][0]["html"][:120])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_axe_sees_a_pale_text_among_its_likes(failed: Opened) -> None:
    """A fault that is planted, which only its own look tells from the others."""
    failed.page.evaluate(
        "const e = [...document.querySelectorAll('td code')].at(-1);"
        "e.style.color = '#e8e8e8'; e.dataset.planted = ''"
    )
    failed.open_all()
    try:
        assert [rule for rule, _, _ in violations(failed)] == ["color-contrast"]
    finally:
        failed.page.evaluate("document.querySelector('[data-planted]').style.color = ''")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["one slow GPU", "lost GPU", "hostile node", "failed", "rates of a CPU"]
)
def test_axe_finds_nothing_serious(open_report: Opener, name: str, scheme: str) -> None:
    opened = open_report(SHAPES[name], scheme)
    opened.open_all()
    assert violations(opened) == []


def test_chart_has_a_name_and_its_numbers(open_report: Opener) -> None:
    page = open_report(SHAPES["one slow GPU"]).page
    assert page.get_by_role("img", name="gemm bf16. One by one").is_visible()
    summary = page.get_by_text("Numbers: gemm bf16")
    summary.press("Enter")
    table = page.get_by_role("table", name="gemm bf16: rates")
    assert table.get_by_role("rowheader", name="GPU 5").first.is_visible()


def test_paper_has_all_charts(open_report: Opener) -> None:
    page = open_report(SHAPES["one slow GPU"]).page
    page.emulate_media(media="print")
    assert page.locator("figure svg").last.is_visible()
    assert not page.get_by_role("table", name="gemm bf16: rates").is_visible()
    assert len(page.pdf()) > 50_000


def test_eight_gpus_for_ten_minutes(browser: Browser, tmp_path: Path) -> None:
    """At 50 Hz. benchmarks/report.py measures the time; here the bound is three times its goal."""
    trace = nodes.trace(HEALTHY, hz=50.0)
    begun = time.process_time()
    page = write(SHAPES["healthy node"], tmp_path, trace)["report.html"]
    assert time.process_time() - begun < 9
    assert page.stat().st_size < MOST_BYTES
    assert (tmp_path / "traces.json").stat().st_size < MOST_BYTES
    begun = time.monotonic()
    opened = Opened(browser, page)
    assert opened.page.locator("figure svg").last.is_visible()
    assert time.monotonic() - begun < 10
    assert opened.complaints == []
