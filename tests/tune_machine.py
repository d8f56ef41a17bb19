"""A machine with a clock of its own: the bench runs as it is, and only the turns are made up.

What it does to a turn is what docs/tune.md says that a shared machine does: a slow drift that
both sides have, one core of two slower for seconds at a time, two processes of one program that
differ by a per cent or two, bursts, heavy tails, and others who want the cores as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from jaxpad.tune import measure
from jaxpad.tune.measure import Bench
from jaxpad.tune.model import Effort, Step

FLAG = "xla_speed"  # its value is what the candidate's speed is called in `Machine.speeds`
CORES = (0, 1)
STEP_S = 1e-3


@dataclass
class Machine:
    """How rough it is. All shares are of a step's time, in logarithms.

    `slower` is what the slow core loses, for `dwell_s` seconds on average; `process` how far
    processes of one program are apart; `others` the chance that others want a turn's core.
    """

    seed: int
    speeds: dict[str, float]
    slower: float = 0.12
    dwell_s: float = 3.0
    process: float = 0.01
    others: float = 0.05

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.now, self.drift = 0.0, 0.0
        self.slow, self.until = 0, 0.0

    def step_s(self, speed: float, bias: float, core: int) -> float:
        """Seconds a step, of a turn that begins now."""
        self._turn_slow_core()
        self.drift = 0.98 * self.drift + self.rng.normal(0, 0.01)
        tail = 0.005 * self.rng.standard_t(3)
        burst = self.rng.exponential(0.3) if self.rng.random() < 0.03 else 0.0
        lost = self.slower if core == self.slow else 0.0
        return STEP_S / speed * (math.exp(self.drift + bias + tail + lost) + burst)

    def load(self, wall: float) -> dict[str, float]:
        """What the kernel's counters gain in a turn of a step that keeps one core busy."""
        waited = float(self.rng.uniform(0, 0.5)) if self.rng.random() < self.others else 0.0
        counted = {"own": wall * (1 - waited), "waiting": wall * waited, "busy": wall}
        return {"wall": wall, "stolen": 0.0, "throttled": 0.0} | counted

    def _turn_slow_core(self) -> None:
        if self.now >= self.until:
            self.slow = int(self.rng.integers(len(CORES)))
            self.until = self.now + float(self.rng.exponential(self.dwell_s))


class SimulatedSide:
    """In the place of a process; it stays on the core it began on unless it is told another."""

    def __init__(self, machine: Machine, words: Sequence[str]) -> None:
        named = [word.partition("=")[2] for word in words if word.startswith(f"--{FLAG}=")]
        self.machine, self.begun = machine, machine.now
        self.seed: int | None = None
        self.speed = machine.speeds[named[-1]] if named else 1.0
        self.bias = float(machine.rng.normal(0, machine.process))
        self.home = int(machine.rng.integers(len(CORES)))
        self.results = [np.ones(1)]

    def feed(self, seed: int, limit: float) -> dict[str, Any]:
        self.seed = seed
        self.machine.now += 1.0  # JAX starts and compiles
        return {"done": self.machine.now, "took": STEP_S}

    def turn(self, steps: int, limit: float, cores: Sequence[int] = ()) -> dict[str, Any]:
        core = cores[0] if cores else self.home
        step_s = self.machine.step_s(self.speed, self.bias, core)
        self.machine.now += steps * step_s
        return {"seconds": step_s, "load": self.machine.load(steps * step_s)}

    def close(self) -> None:
        pass


def bench(patch: pytest.MonkeyPatch, machine: Machine) -> Bench:
    """The real bench, with the shipped effort, on this machine."""
    patch.setattr(measure, "Side", lambda _step, words: SimulatedSide(machine, words))
    patch.setattr("jaxpad.tune.measure.os.sched_getaffinity", lambda _: set(CORES))
    return Bench(Step("simulated"), Effort())
