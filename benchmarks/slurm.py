"""How long a smoke run on a cluster takes beyond its slowest node.

    python -m benchmarks.slurm

`jaxpad smoke --on slurm` on two nodes of the tests' Slurm (tests/slurm_cluster.py: all on this
machine, JAX on the CPU), the whole suite. What is measured is the time from the command to its
end, less the seconds that the slower node's own suite took by its own report: submitting, seeing
the jobs end, the multi-process run, merging and rendering. Look at the medians of three runs.
It needs root.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import results
from jaxpad.core.paths import HOME

sys.path.append(str(HOME / "tests"))
from slurm_cluster import NODES, SlurmCluster

COMMAND = "python -m benchmarks.slurm"
RUNS = 3


def main() -> None:
    """Measure and note it."""
    with tempfile.TemporaryDirectory(prefix="jaxpad-slurm-") as folder:
        cluster = SlurmCluster(Path(folder))
        try:
            cluster.start()
            runs = [_run(cluster, Path(folder) / f"report-{i}") for i in range(RUNS)]
        finally:
            cluster.stop()
    whole, own = (statistics.median(column) for column in zip(*runs, strict=True))
    more = statistics.median(whole - own for whole, own in runs)
    results.note(
        "slurm_two_nodes",
        what="a smoke run on two nodes of a Slurm, beyond its slower node's suite (goal: 15 s)",
        value=f"{more:.1f} s ({whole:.0f} s in all, {own:.0f} s of suite; medians of {RUNS})",
        command=COMMAND,
    )


def _run(cluster: SlurmCluster, out: Path) -> tuple[float, float]:
    """Seconds of the command, and of the slower node's suite."""
    nodes = NODES[:2]
    asked = ["--on", "slurm", "--gpus-per-node", "0", "--nodelist", ",".join(nodes)]
    begun = time.perf_counter()
    done = cluster.jaxpad("smoke", *asked, "--out", str(out), *sys.argv[1:])
    whole = time.perf_counter() - begun
    assert done.returncode == 0, done.stderr
    reports = [json.loads((out / f"nodes/{node}/smoke.json").read_text()) for node in nodes]
    own = max(report["seconds"] for report in reports)
    print(f"{whole:.1f} s, {own:.1f} s of them the suite's", flush=True)
    return whole, own


if __name__ == "__main__":
    main()
