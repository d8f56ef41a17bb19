"""What an effect costs beside XLA's own compile: a cell, a second worker, a second run.

    python -m benchmarks.effects [PROFILE GPU WORKLOAD]

By default the longest published flag set, for H100. Three ratios, each of two things timed in
one run, with nothing kept from before:

- overhead: seconds outside XLA's compile for every cell of the profile, by one worker that
  stays, beside a fresh process for each cell that sets XLA_FLAGS. Both read the program in the
  same way, and must come to the same digests and the same verdicts.
- workers: the same cells by one worker and by two.
- again: `profile.explain` the first time and when all is kept: the median of five.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from benchmarks import results
from jaxpad import effects, gpus, profiles, workloads
from jaxpad.effects import Cell, Outcome, Question
from jaxpad.effects.matrix import CellRow

COMMAND = "python -m benchmarks.effects"
DEFAULT = ("peers/jax-toolbox-maxtext-fsdp", "h100-sxm", "fsdp")
Found = Mapping[Cell, Outcome]
T = TypeVar("T")


def main() -> None:
    """Measure everything and note it."""
    words = tuple(sys.argv[1:]) or DEFAULT
    profile, gpu, workload = words
    question = Question(profiles.load(profile), gpus.load(gpu), workloads.load(workload))
    cells = sorted(effects.cells([question]), key=lambda cell: cell.words)
    print(f"{len(cells)} cells of {profile} on {gpu}, {workload}", flush=True)
    one, alone = _nothing_kept(lambda: _timed(lambda: _by(cells, 1)))
    overhead(question, cells, one, alone)
    workers(cells, one, alone)
    again(words)


def overhead(question: Question, cells: list[Cell], ours: Found, took: float) -> None:
    """One worker for all cells beside a fresh process for each."""
    fresh, long = _timed(lambda: {cell: effects.fresh(cell) for cell in cells})
    _hold_alike(question, ours, fresh)
    mine, others = took - _compiling(ours), long - _compiling(fresh)
    results.note(
        "effects_overhead",
        what="a cell outside XLA's compile, beside a fresh process for each (goal: 1/5)",
        value=f"{mine / others:.2f} ({mine / len(cells):.2f} s to {others / len(cells):.2f} s, "
        f"{len(cells)} cells, same digests and verdicts)",
        command=COMMAND,
    )


def workers(cells: list[Cell], one: Found, alone: float) -> None:
    """The same cells by two workers."""
    two, together = _nothing_kept(lambda: _timed(lambda: _by(cells, 2)))
    assert {cell: _row(cell, one) for cell in cells} == {cell: _row(cell, two) for cell in cells}
    results.note(
        "effects_workers",
        what="two workers on the same cells, beside one (goal: 1.6 times sooner)",
        value=f"{alone / together:.2f} ({alone:.0f} s to {together:.0f} s)",
        command=COMMAND,
    )


def again(words: tuple[str, ...]) -> None:
    """The command with nothing kept, then with all."""
    with tempfile.TemporaryDirectory() as folder:
        _, first = _timed(lambda: _explain(words, folder))
        seconds = [_timed(lambda: _explain(words, folder))[1] for _ in range(5)]
    rest = statistics.median(seconds)
    results.note(
        "effects_again",
        what="profile.explain when all is kept, beside the first time (goal: 50 times faster)",
        value=f"{first / rest:.0f} times ({first:.1f} s to {rest:.2f} s)",
        command=COMMAND,
    )


def _explain(words: tuple[str, ...], folder: str) -> None:
    options = zip(("--profile", "--gpu", "--workload"), words, strict=True)
    argv = [sys.executable, "-m", "jaxpad", "profile.explain", *sum(options, ())]
    done = subprocess.run(argv, env=os.environ | {"XDG_CACHE_HOME": folder}, capture_output=True)
    assert done.returncode in (0, 1), done.stderr


def _hold_alike(question: Question, ours: Found, fresh: Found) -> None:
    for cell in ours:
        assert _row(cell, ours) == _row(cell, fresh), cell
    assert effects.told(question, ours) == effects.told(question, fresh)


def _row(cell: Cell, found: Found) -> CellRow:
    return CellRow.of("", cell, found[cell])


def _by(cells: list[Cell], workers: int) -> Found:
    return effects.compute(cells, effects.Effort(workers=workers), effects.Watcher())


def _compiling(found: Found) -> float:
    """Seconds inside XLA; a program that several cells share was compiled once."""
    programs = {id(one.program): one.program for one in found.values() if one.program}
    return sum(program.seconds or 0 for program in programs.values())


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    begun = time.perf_counter()
    found = work()
    return found, time.perf_counter() - begun


def _nothing_kept(work: Callable[[], T]) -> T:
    with tempfile.TemporaryDirectory() as folder:
        kept = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = folder
        try:
            return work()
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            os.environ.update({"XDG_CACHE_HOME": kept} if kept else {})


if __name__ == "__main__":
    main()
