"""How long report.html takes for 8 GPUs and ten minutes at 50 Hz, and how large it is.

    python -m benchmarks.report

The node is made up (tests/report_nodes.py): 111 checks, 204 judged rates, 240,000 samples.
Each round is a child of its own, as a smoke run is, so importing matplotlib and thinning the
samples are in its time; the median counts (goals: under 3 s, under 1.5 MB).
A page without pictures, which a run writes after each check file, stands beside it.
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
from jaxpad.core.paths import HOME

COMMAND = "python -m benchmarks.report"
ROUNDS = 5
CHILD = """
import json, sys, time
from pathlib import Path
import report_nodes as nodes
from test_report_samples import SHAPES

trace = nodes.trace(nodes.Node(), hz=50.0)
report, folder = SHAPES["healthy node"], Path(sys.argv[1])
from jaxpad.report import write
begun, cpu = time.perf_counter(), time.process_time()
paths = write(report, folder, trace)
whole, cpu = time.perf_counter() - begun, time.process_time() - cpu
begun = time.perf_counter()
write(report, folder, pictures=False)
interim = time.perf_counter() - begun
paths = write(report, folder, trace)
print(json.dumps([whole, cpu, interim, *(paths[name].stat().st_size for name in
      ("report.html", "smoke.json", "traces.json"))]))
"""


def main() -> None:
    """Measure and note."""
    rounds = [one() for _ in range(ROUNDS)]
    whole, cpu, interim, page, smoke, traces = map(statistics.median, zip(*rounds, strict=True))
    slowest = max(times[0] for times in rounds)
    results.note(
        "report",
        what="report.html of 8 GPUs and 10 minutes at 50 Hz (goals: under 3 s, under 1.5 MB)",
        value=(
            f"{whole:.1f} s (CPU alone {cpu:.1f} s, slowest of {ROUNDS} {slowest:.1f} s), "
            f"{page / 1e6:.2f} MB; "
            f"without pictures {interim:.2f} s; "
            f"smoke.json {smoke / 1e6:.2f} MB, traces.json {traces / 1e6:.2f} MB"
        ),
        command=COMMAND,
    )


def one() -> list[float]:
    """Seconds with and without pictures, CPU seconds, and three sizes, from a fresh process."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join([str(HOME / "tests"), str(HOME)])}
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-c", CHILD, str(Path(folder))]
        done = subprocess.run(argv, env=variables, check=True, capture_output=True, text=True)
    found: list[float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
