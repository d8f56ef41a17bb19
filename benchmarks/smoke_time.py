"""How long the whole CPU smoke suite takes, cold and with its compilation cache warm.

The numbers to look at: the cold run (goal: at most 40 s on two cores) and the ratio of the
warm median to the cold one. Every cold run starts from an empty cache folder; the warm run
follows it with the same folder, so that each pair meets the same noise.

    python -m benchmarks.smoke_time [rounds]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import results

HOME = Path(__file__).resolve().parent.parent


def seconds(cache: Path, out: Path) -> float:
    """Wall time of one `jaxpad smoke --platform cpu`, as its report has it."""
    argv = [sys.executable, "-m", "jaxpad", "smoke", "--platform", "cpu", "--out", str(out)]
    environ = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    subprocess.run(argv, cwd=HOME, env=environ, check=True, capture_output=True)
    return float(json.loads((out / "smoke.json").read_text())["seconds"])


def pair() -> tuple[float, float]:
    """One cold and one warm run that share a cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        cache, out = Path(folder) / "cache", Path(folder) / "report"
        return seconds(cache, out), seconds(cache, out)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    cold, warm = zip(*(pair() for _ in range(rounds)), strict=True)
    ratio = statistics.median(w / c for c, w in zip(cold, warm, strict=True))
    results.note(
        "smoke",
        what="whole CPU smoke suite, cold (goal: at most 40 s), then with a warm compilation cache",
        value=f"{statistics.median(cold):.1f} s, then {statistics.median(warm):.1f} s, "
        f"{ratio:.2f} times (medians of {rounds})",
        command="python -m benchmarks.smoke_time",
    )


if __name__ == "__main__":
    main()
