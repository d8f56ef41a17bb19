"""Whether the CPU smoke suite ever fails a healthy machine by chance: run again and again.

    python -m benchmarks.repeat_smoke [--runs 100] [--busy 2] [--keep FOLDER] [--json]

Every second run goes beside `--busy` loops that do nothing but use a core each. The number to
look at is how many did not pass: it must be none (exit code 0, else 1), and each check that did
not pass is named with its reason. Progress goes to stderr. `--keep` keeps the reports of runs
that did not pass. Run it once under each Python that `.ci/run` uses; it takes an hour or two.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
FINE = ("pass", "not applicable")
NO_REPORT = "no report"
# Ends with its parent, which may be killed before it can stop this.
LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(10**6): pass
"""


@dataclass(frozen=True)
class Odd:
    """A check that did not pass."""

    check: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Ended:
    """One run: beside how many busy loops, under what load, and what came of it."""

    busy: int
    load: float  # of the last minute, as the run ended
    seconds: float
    verdict: str
    odd: tuple[Odd, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the whole run passed."""
        return self.verdict == "pass"


def read(report: dict[str, Any], code: int) -> tuple[str, tuple[Odd, ...]]:
    """The verdict of a smoke.json, empty where none was written, and the checks behind it."""
    if not report:
        return f"{NO_REPORT}, exit code {code}", ()
    odd = tuple(
        Odd(f"{one['file']}::{one['name']}", one["verdict"], one["reason"])
        for one in report["checks"]
        if one["verdict"] not in FINE
    )
    verdict = str(report["verdict"])
    return (verdict if verdict != "pass" or code == 0 else f"pass, exit code {code}"), odd


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """That many loops use a core each until the block ends."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def once(busy: int, keep: Path | None) -> Ended:
    """One `jaxpad smoke --platform cpu`; its report is kept if it did not pass."""
    with tempfile.TemporaryDirectory(prefix="jaxpad-repeat-") as folder, busy_loops(busy):
        argv = [sys.executable, "-m", "jaxpad", "smoke", "--platform", "cpu", "--json"]
        begun = time.monotonic()
        done = subprocess.run(
            [*argv, "--out", folder], cwd=HOME, capture_output=True, text=True, check=False
        )
        seconds = round(time.monotonic() - begun, 1)
        written = Path(folder) / "smoke.json"
        report = json.loads(written.read_text()) if written.is_file() else {}
        ended = Ended(busy, round(os.getloadavg()[0], 1), seconds, *read(report, done.returncode))
        if keep and not ended.passed:
            shutil.copytree(folder, Path(tempfile.mkdtemp(prefix="run-", dir=keep)) / "report")
    return ended


def summary(runs: Sequence[Ended]) -> dict[str, Any]:
    """How many runs came to each verdict, and how often each check did not pass."""
    odd = [(one, run.busy > 0) for run in runs for one in run.odd]
    checks = Counter(one.check for one, _ in odd)
    return {
        "runs": len(runs),
        "beside busy loops": sum(run.busy > 0 for run in runs),
        "load": [min(run.load for run in runs), max(run.load for run in runs)],
        "verdicts": dict(Counter(run.verdict for run in runs).most_common()),
        "checks": {
            name: {
                "times": times,
                "beside busy loops": sum(busy for one, busy in odd if one.check == name),
                "reasons": list(
                    dict.fromkeys(f"{o.verdict}: {o.reason}" for o, _ in odd if o.check == name)
                ),
            }
            for name, times in checks.most_common()
        },
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The summary in words."""
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in found["verdicts"].items())
    low, high = found["load"]
    yield (
        f"{found['runs']} runs, {found['beside busy loops']} beside busy loops, "
        f"load {low:g} to {high:g}: {verdicts}"
    )
    for name, one in found["checks"].items():
        yield f"{name}: {one['times']} times, {one['beside busy loops']} beside busy loops"
        yield from (f"  {reason}" for reason in one["reasons"])


def repeat(count: int, busy: int, keep: Path | None) -> Iterator[Ended]:
    """The runs, each told on stderr as it ends."""
    for number in range(1, count + 1):
        run = once(busy if number % 2 == 0 else 0, keep)
        beside = f" beside {run.busy} busy loops" if run.busy else ""
        told = "".join(f"; {one.check} {one.verdict}: {one.reason}" for one in run.odd)
        ended = f"{run.verdict} in {run.seconds:g} s{beside}, load {run.load:g}"
        print(f"{number}/{count}: {ended}{told}", file=sys.stderr, flush=True)
        yield run


def options(words: Sequence[str]) -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repeat_smoke")
    parser.add_argument("--runs", type=int, default=100, help="how many, at least 1")
    parser.add_argument("--busy", type=int, default=2, help="loops beside every second run")
    parser.add_argument("--keep", type=Path, help="folder for the reports that did not pass")
    parser.add_argument("--json", action="store_true", help="the summary and each run as JSON")
    asked = parser.parse_args(words)
    if asked.runs < 1 or asked.busy < 0:
        parser.error("--runs must be at least 1, and --busy at least 0")
    return asked


def main(words: Sequence[str]) -> int:
    """0 where every run passed, else 1."""
    asked = options(words)
    if asked.keep:
        asked.keep.mkdir(parents=True, exist_ok=True)
    runs = list(repeat(asked.runs, asked.busy, asked.keep))
    found = summary(runs)
    if asked.json:
        print(json.dumps(found | {"each": [asdict(run) for run in runs]}))
    else:
        print(*lines(found), sep="\n")
    return 0 if all(run.passed for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
