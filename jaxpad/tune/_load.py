"""What else the machine did during a turn, as the kernel tells it to the process that ran."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

Counters = Mapping[str, float]

_TICK = os.sysconf("SC_CLK_TCK")
_MOST_STOLEN = 0.05  # of the turn, taken by the hypervisor from all cores together
_FOREIGN = 0.1  # cores in use by others, below which waiting is the step's own threads' doing


def now() -> Counters:
    """Seconds, all since some past: of this process, of all, and of waiting.

    `waiting` is the run-queue time of our threads (schedstat, the second number:
    https://docs.kernel.org/scheduler/sched-stats.html), `busy` and `stolen` are the machine's
    (https://docs.kernel.org/filesystems/proc.html, 1.7).
    """
    busy, stolen = _machine()
    return {
        "wall": time.monotonic(),
        "own": time.process_time(),
        "waiting": _waiting(),
        "busy": busy,
        "stolen": stolen,
        "throttled": _throttled(),
    }


def between(before: Counters, after: Counters) -> dict[str, float]:
    """What each counter gained."""
    return {name: after[name] - before[name] for name in before}


def disturbed(gained: Counters, waiting: float) -> str:
    """Why a turn does not count, or nothing; `waiting` is the share of it that may be waited."""
    wall = gained["wall"] or 1e-9
    foreign = (gained["busy"] - gained["own"]) / wall
    if gained["throttled"] > 0:
        return "the CPU was throttled"
    if gained["stolen"] > _MOST_STOLEN * wall + 1 / _TICK:
        return f"the hypervisor took {gained['stolen'] / wall:.0%} of a core"
    if gained["waiting"] > waiting * wall and foreign > _FOREIGN:
        share = gained["waiting"] / wall
        return f"waited {share:.0%} of the time for a core, others used {foreign:.1f} cores"
    return ""


def _machine() -> tuple[float, float]:
    """User, nice, system, irq and softirq time, and stolen time."""
    with contextlib.suppress(OSError, ValueError):
        with Path("/proc/stat").open() as stat:
            user, nice, system, _, _, irq, soft, stolen = map(int, stat.readline().split()[1:9])
        return (user + nice + system + irq + soft) / _TICK, stolen / _TICK
    return 0.0, 0.0


def _waiting() -> float:
    return sum(map(_waited, Path("/proc/self/task").glob("*/schedstat")))


def _waited(file: Path) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):  # a thread that has ended
        return int(file.read_text().split()[1]) / 1e9
    return 0.0


def _throttled() -> float:
    files = Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/core_throttle_count")
    total = 0
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            total += int(file.read_text())
    return total
