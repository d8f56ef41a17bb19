"""tune.html: what it says, and in a real browser that has no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from jaxpad.tune.model import Candidate, Compiled, End, Fate, Measured, Pair, Ratio, Tuned
from jaxpad.tune.page import headline, to_html
from test_report_browser import CONTRASTS, PHONE, Opened, browser as browser, violations
from test_report_samples import NASTY

FAST = Candidate.of({"xla_cpu_enable_fast_math": "true"})
PAIRS = (Pair(0.0011, 0.001), Pair(0.0011, 0.001, "was throttled"))


def one(end: End, ratio: Ratio | None, reason: str = "", **flags: str) -> Measured:
    found = Candidate.of(flags or {f"xla_{end.name.lower()}": "1"})
    return Measured(found, end.name, end, ratio, PAIRS, 1.5, reason)


def run(text: str = "numbers differ") -> Tuned:
    """A run with every way to end; `text` stands wherever a user's own text may."""
    fast = one(End.MEASURED, Ratio(1.1, 1.08, 1.12), xla_cpu_enable_fast_math="true")
    measured = (
        one(End.STOPPED, Ratio(0.8, 0.7, 0.9)),
        fast,
        one(End.WRONG, None, text),
        one(End.FAILED, None, text),
        one(End.DISTURBED, None, text),
    )
    compiled = (
        Compiled(Candidate(), Fate.COMPILES, digest="base"),
        Compiled(FAST, Fate.COMPILES, digest="fast"),
        Compiled(Candidate.of({"xla_other": "1"}), Fate.COMPILES, digest="fast"),
        Compiled(Candidate.of({"xla_gone": text}), Fate.FATAL, text),
    )
    seconds = {"compile": 30.0, "measure": 60.0, "confirm": 20.0, "other": 1.0}
    about = {"workload": text, "jaxlib": "0.10.2"}
    return Tuned(about, compiled, measured, (fast,), FAST, seconds)


RUNS = {
    "winner": run(),
    "hostile": run(NASTY),
    "none": Tuned({}, measured=(one(End.MEASURED, Ratio(1.0, 0.99, 1.01)),)),
    "compiled": Tuned({}, compiled=run().compiled),
}


def test_headline_says_what_was_found() -> None:
    said = {name: headline(found) for name, found in RUNS.items()}
    assert said["winner"] == "10.0 % faster than the baseline, confirmed"
    assert said["none"] == "Nothing beats the baseline"
    assert said["compiled"] == "Compiled, nothing was measured"


def test_numbers_stand_without_pictures() -> None:
    text = to_html(RUNS["winner"], pictures=False)
    assert "<svg" not in text
    for words in ("1.100 (1.080 to 1.120)", "stopped early", "wrong results", "1 of 2"):
        assert words in text


@pytest.fixture
def tab(browser: Browser, tmp_path: Path) -> Iterator[object]:
    def opener(name: str, scheme: str = "light") -> Opened:
        file = tmp_path / f"{name}.html"
        file.write_text(to_html(RUNS[name]), encoding="utf-8")
        return Opened(browser, file, scheme)

    yield opener
    for context in browser.contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", RUNS)
def test_opens_offline_and_reads_well(tab, name: str, scheme: str) -> None:  # type: ignore[no-untyped-def]
    opened = tab(name, scheme)
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [opened.page.url]
    assert opened.page.locator("script, img, iframe").count() == 0
    assert "Not drawn" not in opened.page.content()
    opened.open_all()
    assert violations(opened) == []
    contrasts = opened.page.evaluate(CONTRASTS)
    assert [element for ratio, element in contrasts if ratio < 4.5] == []


@pytest.mark.parametrize("name", RUNS)
def test_fits_a_phone(tab, name: str) -> None:  # type: ignore[no-untyped-def]
    opened = tab(name)
    opened.page.set_viewport_size(PHONE)
    opened.open_all()
    assert opened.overflow() <= 0
