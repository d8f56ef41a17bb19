"""The screenshots in docs/images, taken with Chromium of pages that jaxpad made.

    python -m docs.pictures

The nodes are made up (tests/report_nodes.py): rates such as boards give, over no GPU. Each
picture says so in its lowest line. Needs requirements/dev.txt and Chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from jaxpad import fleet
from jaxpad.paths import HOME
from jaxpad.report import write

sys.path.append(str(HOME / "tests"))
import fleet_nodes as made
from test_report_samples import SHAPES, trace_of

FOLDER = HOME / "docs" / "images"
WIDTH, HEIGHT, COLOURS = 1200, 760, 96
LABEL = "A made-up node, to show the page: no GPU was measured"
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


# A page more is a line more: the name of its picture, and what makes it in a folder.
PAGES: dict[str, Callable[[Path], Path]] = {"report": report, "fleet": fleet_page}


def taken(browser: Browser, page: Path) -> bytes:
    """The first screen of a page as a PNG of few colours."""
    context = browser.new_context(
        offline=True, color_scheme="light", viewport={"width": WIDTH, "height": HEIGHT}
    )
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.evaluate(STRIP, LABEL)
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
        for name, make in PAGES.items():
            (FOLDER / f"{name}.png").write_bytes(taken(browser, make(Path(folder))))
        browser.close()


if __name__ == "__main__":
    main()
