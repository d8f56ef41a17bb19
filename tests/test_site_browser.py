"""The docs site in a real browser that reaches nothing but the site."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, Page, ViewportSize

from helpers import HOME
from test_report_browser import DESKTOP, PHONE, Tabs, browser as browser, violations_of
from test_site_links import built as built

PAGES = sorted(page.stem for page in (HOME / "docs").glob("*.md"))
LOOKED_AT = ("start", "matrix", "commands")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest's output is for failures."""


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(built)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


class Tab:
    """One page of the site, with all that it complained of and asked for."""

    def __init__(self, browser: Browser, url: str, scheme: str = "light") -> None:
        context = browser.new_context(color_scheme=scheme, viewport=DESKTOP)  # type: ignore[arg-type]
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self._load(url)

    def _load(self, url: str) -> None:
        """Again where the machine's network changed meanwhile, as by the start of a container."""
        for _ in range(5):
            self.complaints.clear()
            self.requests.clear()
            try:
                self.page.goto(url, wait_until="networkidle")
            except Error as error:
                self.complaints.append(str(error))
            if not any("ERR_NETWORK_CHANGED" in one for one in self.complaints):
                return

    def reset(self) -> None:
        """As it was first shown."""
        self.page.set_viewport_size(DESKTOP)
        self.page.evaluate("window.scrollTo(0, 0)")


Opener = Callable[..., Tab]


@pytest.fixture(scope="module")
def tab(browser: Browser, address: str) -> Iterator[Opener]:
    """`tab("smoke", scheme, size)` shows that page, which stays open for the next test."""
    found = Tabs(lambda name, scheme: Tab(browser, f"{address}{name}/", scheme))

    def shown(name: str, scheme: str = "light", size: ViewportSize = DESKTOP) -> Tab:
        opened = found(name, scheme)
        opened.page.set_viewport_size(size)
        return opened

    yield shown
    found.close_all()


@pytest.fixture
def own_tab(browser: Browser, address: str) -> Iterator[Opener]:
    """A tab of a test's own, which does more than look."""
    opened = Tab(browser, f"{address}start/")
    yield lambda: opened
    opened.page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_opens_quietly_asks_nobody_and_fits_a_phone(tab: Opener, address: str, name: str) -> None:
    opened = tab(name)
    assert opened.complaints == []
    assert len(opened.requests) > 3
    assert [url for url in opened.requests if not url.startswith((address, "data:"))] == []
    assert opened.page.locator("h1").is_visible()
    opened.page.set_viewport_size(PHONE)
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert opened.page.evaluate(wide) <= 0


def test_root_leads_to_the_start(browser: Browser, address: str) -> None:
    page = Tab(browser, address).page
    page.wait_for_url("**/start/")
    assert page.locator("h1").inner_text().startswith("Start in 60 seconds")
    page.context.close()


def test_pictures_are_shown(tab: Opener) -> None:
    for name, at_least in (("start", 1000), ("matrix", 500)):
        picture = tab(name).page.locator("article img").first
        assert picture.get_attribute("alt")
        assert picture.evaluate("i => i.complete && i.naturalWidth") >= at_least


def test_search_finds(own_tab: Opener, address: str) -> None:
    opened = own_tab()
    opened.page.keyboard.press("/")
    opened.page.keyboard.type("latency hiding")
    results = opened.page.locator(".md-search-result__item")
    results.first.wait_for()
    found = [text.lower() for text in results.all_inner_texts()]
    assert len(found) > 2
    assert "latency_hiding" in found[0] or "latency hiding" in found[0]
    assert "missing" not in found[0]  # what the search says of words that a page lacks
    assert [url for url in opened.requests if not url.startswith((address, "data:", "blob:"))] == []
    assert opened.complaints == []


def test_schemes_differ(tab: Opener) -> None:
    script = "getComputedStyle(document.body).backgroundColor"
    light, dark = (tab("start", scheme).page.evaluate(script) for scheme in ("light", "dark"))
    assert light == "rgb(255, 255, 255)"
    assert max(int(part) for part in dark[4:-1].split(",")) < 60


def test_scheme_can_be_chosen(own_tab: Opener) -> None:
    page = own_tab().page
    scheme = "document.body.getAttribute('data-md-color-scheme')"
    assert page.evaluate(scheme) == "default"
    page.locator("label[title=Dark]").click()
    assert page.evaluate(scheme) == "slate"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_axe_finds_nothing_serious(tab: Opener, name: str, scheme: str, size: ViewportSize) -> None:
    assert violations_of(tab(name, scheme, size).page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", LOOKED_AT)
def test_screenshot(tab: Opener, name: str, scheme: str) -> None:
    picture = Image.open(io.BytesIO(tab(name, scheme).page.screenshot()))
    assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 50
