"""How long the docs site takes to build.

The number to look at is the slower of the two times: goal 20 s. The first is a build as the
first on a machine would be (nothing was imported before), the second follows at once.

    python -m benchmarks.site
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import results

HOME = Path(__file__).resolve().parent.parent


def seconds(out: Path) -> float:
    """Wall time of `jaxpad site` from start to exit."""
    begun = time.perf_counter()
    argv = [sys.executable, "-m", "jaxpad", "site", "--out", str(out)]
    subprocess.run(argv, cwd=HOME, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "site"
        first, again = seconds(out), seconds(out)
        pages = len(list(out.rglob("index.html"))) - 1  # the root only leads to the first
    results.note(
        "site",
        what="the docs site built (goal: 20 s)",
        value=f"{first:.1f} s, again {again:.1f} s, {pages} pages",
        command="python -m benchmarks.site",
    )


if __name__ == "__main__":
    main()
