"""How much `invoke --list` costs here beside a bare invoke with a one-task tasks.py.

The number to look at is the ratio of the medians: at most 1.3. The two are run in turns,
A B A B, so that both meet the same noise.

    python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import results

HOME = Path(__file__).resolve().parent.parent
ONE_TASK = '''"""One task."""
from invoke import task


@task
def hello(c):
    """Say hello."""
'''


def seconds(folder: Path) -> float:
    """Wall time of one `invoke --list` in `folder`."""
    begun = time.perf_counter()
    argv = [sys.executable, "-m", "invoke", "--list"]
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def compare(rounds: int = 15) -> tuple[float, float]:
    """Median seconds here and with the one-task file; one round of each is warm-up."""
    with tempfile.TemporaryDirectory() as bare:
        (Path(bare) / "tasks.py").write_text(ONE_TASK)
        pairs = [(seconds(HOME), seconds(Path(bare))) for _ in range(rounds + 1)][1:]
    here, there = zip(*pairs, strict=True)
    return statistics.median(here), statistics.median(there)


def main() -> None:
    here, bare = compare()
    results.note(
        "startup",
        what="`invoke --list`, beside a bare invoke with one task (goal: at most 1.3 times)",
        value=f"{here:.2f} s, {here / bare:.2f} times",
        command="python -m benchmarks.startup",
    )


if __name__ == "__main__":
    main()
