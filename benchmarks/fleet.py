"""How long the reports of a large fleet take to merge, in how much memory, and to read.

    python -m benchmarks.fleet [NODES]

Makes NODES reports (10,000) of at least 50 kB each, no two alike, in a temporary folder: some
600 MB of disk, gone afterwards. Some nodes are slow, some fail, some differ in a version. Then

- merge: wall time of `jaxpad fleet` on all of them, from start to files written, and the most
  memory that its processes held together (goal: 20 s and 1 GiB);
- linear: the same for half of them; the number to look at is the ratio of the CPU times, which
  what else runs here does not change (goal: 2, and at most 2.2);
- page: fleet.html in Chromium: until it is interactive, and the longest frame while all of it
  is scrolled through (goal: under 100 ms, where people begin to notice,
  https://web.dev/articles/rail).

Needs requirements/dev.txt and Chromium.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks import results
from jaxpad.core.paths import HOME
from jaxpad.core.results import Report
from jaxpad.report import to_json

sys.path.append(str(HOME / "tests"))
import fleet_nodes as made
from test_report_samples import suite

COMMAND = "python -m benchmarks.fleet"
NODES = 10_000
SMALLEST = 50_000  # bytes of a report
FRAMES = """
async () => {
  const frames = [];
  let last = performance.now();
  const high = document.documentElement.scrollHeight;
  for (let at = 0; at < high; at += 200) {
    window.scrollTo(0, at);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return Math.max(...frames);
}
"""
INTERACTIVE = "performance.getEntriesByType('navigation')[0].domInteractive"


def main() -> None:
    """Measure everything and note it."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else NODES
    with tempfile.TemporaryDirectory(prefix="jaxpad-fleet-") as folder:
        root = Path(folder)
        whole, half = root / "whole", root / "half"
        size = make(whole, count)
        half.mkdir()
        for folder_ in sorted(whole.iterdir())[: count // 2]:
            shutil.copytree(folder_, half / folder_.name, copy_function=os.link)
        merge(half, root / "warm")  # what was just written is in memory, as is Python
        short = merge(half, root / "out-half")
        long = merge(whole, root / "out")
        note(count, size, short, long)
        page(root / "out" / "fleet.html")


def make(root: Path, count: int) -> int:
    """Write the reports; the bytes of all together."""
    kinds = [
        *[_content(f"n{at}") for at in range(20)],
        _content("slow", made.slow(0.8, gpu=0)),
        _content("broken", made.fails()),
        _content("other", made.version("driver", "570.124.06")),
    ]
    random, total = Random(0), 0  # noqa: S311
    for at in range(count):
        kind = kinds[random.randrange(20) if at % 500 else 20 + at // 500 % 3]
        name = f"n{at:05}"
        text = json.dumps(_varied(kind, name, random), indent=1)
        assert len(text) >= SMALLEST
        made.put(root, name, text)
        total += len(text)
    return total


def _content(name: str, *changes: made.Change) -> dict[str, Any]:
    """One GPU, and as many checks as make the size that the goal is for."""
    return to_json(made.report(name, 1, *changes, _longer))


def _longer(given: Report) -> Report:
    return replace(given, checks=(*given.checks, *suite(12)))


def _varied(kind: dict[str, Any], name: str, random: Random) -> dict[str, Any]:
    rates = [{**rate, "median": rate["median"] * random.gauss(1, 0.005)} for rate in kind["rates"]]
    return {**kind, "node": name, "rates": rates}


@dataclass(frozen=True)
class Run:
    """What one merge cost."""

    seconds: float
    cpu: float  # seconds of all its processes; what else runs here does not change them
    held: int  # the most bytes that its processes held together


def merge(reports: Path, out: Path) -> Run:
    """Run the command as a user does."""
    argv = [sys.executable, "-m", "jaxpad", "fleet", "--reports", str(reports), "--out", str(out)]
    before, begun = _cpu(), time.perf_counter()
    child = subprocess.Popen(argv, cwd=HOME, stdout=subprocess.DEVNULL, start_new_session=True)
    held = [0]
    watch = threading.Thread(target=_watch, args=(child, held))
    watch.start()
    code = child.wait()
    run = Run(time.perf_counter() - begun, _cpu() - before, held[0])
    watch.join()
    assert code in (0, 1, 3), code
    print(f"{reports.name}: {run}", flush=True)
    return run


def _cpu() -> float:
    """Seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(child: subprocess.Popen[bytes], held: list[int]) -> None:
    while child.poll() is None:
        held[0] = max(held[0], _memory(child.pid))
        time.sleep(0.05)


def _memory(session: int) -> int:
    """Bytes that the processes of a session hold, memory that they share counted in each."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(words[3]) == session:
            total += int(words[21])
    return total * os.sysconf("SC_PAGE_SIZE")


def note(count: int, size: int, short: Run, long: Run) -> None:
    each = size / count / 1000
    results.note(
        "fleet_merge",
        what=f"{count:,} node reports merged and rendered (goal: 20 s and 1 GiB)",
        value=f"{long.seconds:.1f} s ({long.cpu:.1f} s of CPU), {long.held / 2**20:.0f} MiB, "
        f"{each:.0f} kB a report",
        command=COMMAND,
    )
    results.note(
        "fleet_linear",
        what="twice the node reports take how many times the CPU time (goal: 2, at most 2.2)",
        value=f"{long.cpu / short.cpu:.2f} ({count // 2:,}: {short.cpu:.1f} s, "
        f"{count:,}: {long.cpu:.1f} s)",
        command=COMMAND,
    )


def page(file: Path) -> None:
    """Open it as a reader does, and scroll through all of it."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = browser.new_context(offline=True).new_page()
        tab.goto(file.as_uri())
        tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        ready, frame = tab.evaluate(INTERACTIVE), tab.evaluate(FRAMES)
        browser.close()
    results.note(
        "fleet_page",
        what="the page of that fleet in Chromium: interactive, longest frame of a scroll "
        "(goal: 100 ms)",
        value=f"{ready:.0f} ms, {frame:.0f} ms, {file.stat().st_size / 1000:.0f} kB",
        command=COMMAND,
    )


if __name__ == "__main__":
    main()
