"""The screenshots in docs/images, taken with Chromium of pages that jaxpad made.

    python -m docs.pictures

Two are of real runs (docs/examples): the suite on a GPU, the tuner on a CPU. The nodes are made up
(tests/report_nodes.py): rates such as boards give, over no GPU. Each picture says which in its
lowest line. Needs requirements/dev.txt and Chromium.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from jaxpad import fleet, tune
from jaxpad.core.paths import HOME
from jaxpad.report import from_json, traces_from_json, write
from jaxpad.tune.page import to_html

sys.path.append(str(HOME / "tests"))
import fleet_nodes as made
from test_report_samples import SHAPES, trace_of

FOLDER = HOME / "docs" / "images"
WIDTH, HEIGHT, COLOURS = 1200, 760, 96
MADE_UP = "A made-up node, to show the page: no GPU was measured"
TUNED = "A real run: the shipped CPU space, a small MLP's training step, 26 November 2026"
REAL = "A real run: one NVIDIA H200, jax 0.11.2, 26 November 2026"
FILES = ("smoke.json", "traces.json")
EXAMPLE = HOME / "docs" / "examples" / "smoke-h200"
# Fixed to the foot of the window, over whatever the page has there.
STRIP = """label => {
  const strip = document.createElement("div");
  strip.textContent = label;
  strip.style.cssText = "position:fixed;left:0;right:0;bottom:0;padding:8px 16px;" +
    "background:#17202a;color:#fff;font:600 15px sans-serif;text-align:center";
  document.body.append(strip);
}"""


def report(root: Path) -> Path:
    """The report of a node of eight GPUs, of which one is hot and slow."""
    slow = SHAPES["one slow GPU"]
    return write(slow, root / "report", trace_of(slow))["report.html"]


def fleet_page(root: Path) -> Path:
    """The fleet report of ten nodes: one fails, one is slow and differs, one does not answer."""
    nodes = root / "nodes"
    made.healthy(nodes, [f"gpu-{at:02}" for at in range(7)])
    made.put(nodes, "gpu-07", made.report("gpu-07", 2, made.fails()))
    changes = (made.slow(0.8), made.version("driver", "560.35.03"))
    made.put(nodes, "gpu-08", made.report("gpu-08", 2, *changes))
    made.put(nodes, "gpu-09", made.report("gpu-09", 2, made.open_()))
    return fleet.write(fleet.merge(nodes), root / "fleet")["fleet.html"]


def real(root: Path) -> Path:
    """The report of the run that is kept."""
    told, traced = (json.loads((EXAMPLE / name).read_text()) for name in FILES)
    return write(from_json(told), root / "real", traces_from_json(traced))["report.html"]


def tuned(root: Path) -> Path:
    """The tuner's report that is kept, made anew."""
    told = tune.from_json(json.loads((EXAMPLE.parent / "tune-cpu/tune.json").read_text()))
    page = root / "tune.html"
    page.write_text(to_html(told))
    return page


# A page more is a line more: the name of its picture, what makes it in a folder, what it shows,
# and the heading that it begins with, "" for the page's top.
PAGES: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "report": (report, MADE_UP, ""),
    "report-h200": (real, REAL, "Rates"),
    "fleet": (fleet_page, MADE_UP, ""),
    "tune-cpu": (tuned, TUNED, "Every distinct program"),
}


def taken(browser: Browser, page: Path, label: str, heading: str) -> bytes:
    """One screen of a page as a PNG of few colours."""
    context = browser.new_context(
        offline=True, color_scheme="light", viewport={"width": WIDTH, "height": HEIGHT}
    )
    tab = context.new_page()
    tab.goto(page.as_uri())
    if heading:
        found = tab.get_by_role("heading", name=heading, exact=True)
        found.evaluate("one => window.scrollTo(0, one.getBoundingClientRect().top - 16)")
    tab.evaluate(STRIP, label)
    shot = Image.open(io.BytesIO(tab.screenshot()))
    context.close()
    small = io.BytesIO()
    shot.convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def main() -> None:
    """Take every picture anew."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, (make, label, heading) in PAGES.items():
            shot = taken(browser, make(Path(folder)), label, heading)
            (FOLDER / f"{name}.png").write_bytes(shot)
        browser.close()


if __name__ == "__main__":
    main()
