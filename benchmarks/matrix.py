"""What the matrix costs as it grows: memory, and CPU time for N cells and for twice as many.

    python -m benchmarks.matrix [GPU ...]

The N cells are every workload with no flags, for three GPUs of the matrix (or those named); the
2N cells are these and the same with the latency-hiding scheduler on. Two workers compile each
set, with nothing kept from before. Two numbers to look at:

- memory: what this process, the workers and what they start (ptxas) hold, a page that several
  share counted once (PSS), every 0.2 s; at most 4 GiB. It must not grow with N.
- growth: CPU seconds of the 2N cells beside those of the N: 2 is linear. Not wall time, which
  another's work on the machine changes. A second flag set for the same program finds it traced,
  so somewhat less is to be expected.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import results
from jaxpad import effects, workloads
from jaxpad.effects import Cell

COMMAND = "python -m benchmarks.matrix"
OTHER = ("--xla_gpu_enable_latency_hiding_scheduler=true",)
DEFAULT = ("a100-sxm-80", "h100-sxm", "b200")


@dataclass(frozen=True)
class Cost:
    """What some cells took: how many, CPU seconds, and the most KiB held at once."""

    cells: int
    seconds: float
    memory: int


def main() -> None:
    """Measure both sets and note them."""
    gpus = tuple(sys.argv[1:]) or DEFAULT
    plain = [Cell(gpu, name) for gpu in gpus for name in workloads.names()]
    once = cost(plain)
    twice = cost([*plain, *(Cell(one.gpu, one.workload, OTHER) for one in plain)])
    results.note(
        "matrix_memory",
        what="memory of two workers over all workloads and some GPUs of the matrix (goal: 4 GiB)",
        value=f"{_gib(twice)} for {twice.cells} cells, {_gib(once)} for {once.cells}",
        command=COMMAND,
    )
    results.note(
        "matrix_growth",
        what="CPU time of twice as many cells of the matrix (linear: 2 times)",
        value=f"{twice.seconds / once.seconds:.2f} times ({once.seconds:.0f} s to "
        f"{twice.seconds:.0f} s, {once.cells} to {twice.cells} cells)",
        command=COMMAND,
    )


def cost(cells: Iterable[Cell]) -> Cost:
    """Compile the cells with two workers, nothing kept."""
    wanted, ended, seen, compiles = list(cells), threading.Event(), [0], list[int]()
    watcher = effects.Watcher(begun=lambda _, total: compiles.append(total))
    watching = threading.Thread(target=_watch, args=(ended, seen))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        watching.start()
        begun = _cpu()
        try:
            found = effects.compute(wanted, effects.Effort(workers=2), watcher)
        finally:
            ended.set()
            watching.join()
    assert compiles == [len(wanted)]  # none shares another's
    assert all(one.program for one in found.values())
    return Cost(len(found), _cpu() - begun, max(seen))


def _cpu() -> float:
    """Seconds of the processes that have ended and that we, or they, waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(ended: threading.Event, seen: list[int]) -> None:
    while not ended.wait(0.2):
        seen.append(sum(_held(pid) for pid in _family()))


def _family() -> Iterator[int]:
    """The ids of our own process and of all that it started, directly or not."""
    parents = dict(_parents())
    yield os.getpid()
    for pid in parents:
        above = parents.get(pid)
        while above is not None and above != os.getpid():
            above = parents.get(above)
        if above is not None:
            yield pid


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        yield int(folder.name), int(state[1])


def _held(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _gib(one: Cost) -> str:
    return f"{one.memory / (1 << 20):.2f} GiB"


if __name__ == "__main__":
    main()
