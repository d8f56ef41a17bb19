"""A bench whose speed-ups come from a table: what the tuner is tried on without measuring."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxpad.tune import Candidate, Compiled, End, Fate, Measured, Pair, Ratio, Space

NOISE = 0.003  # half of the interval's width


@dataclass
class TableBench:
    """Speed-ups are products of one factor a flag set; some noise, the same for one seed."""

    factors: Mapping[tuple[str, str], float]
    measured: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    fluke: float = 1.0  # what measuring sees, and confirming does not
    interrupt: int = 0  # Ctrl-C at this measurement
    disturbed: bool = False  # whether the machine is at rest for what confirms

    def __call__(self) -> Any:
        """As a Bench is opened."""
        return self._open()

    @contextmanager
    def _open(self) -> Iterator[TableBench]:
        yield self

    def true(self, candidate: Candidate) -> float:
        speed = 1.0
        for pair in candidate.flags:
            speed *= self.factors.get(pair, 1.0)
        return speed

    def measure(
        self, candidate: Candidate, digest: str, *, seed: int, best: Ratio | None
    ) -> Measured:
        if len(self.measured) + 1 == self.interrupt:
            raise KeyboardInterrupt
        self.measured.append(digest)
        return self._seen(candidate, digest, seed, self.fluke)

    def confirm(self, candidate: Candidate, digest: str, *, seed: int) -> Measured:
        self.confirmed.append(digest)
        if self.disturbed:
            return Measured(candidate, digest, End.DISTURBED, seed=seed)
        return self._seen(candidate, digest, seed, 1.0)

    def _seen(self, candidate: Candidate, digest: str, seed: int, fluke: float) -> Measured:
        off = random.Random(f"{seed} {digest}").uniform(-NOISE / 2, NOISE / 2)
        value = self.true(candidate) * fluke + off
        ratio = Ratio(value, value - NOISE, value + NOISE)
        return Measured(
            candidate, digest, End.MEASURED, ratio, (Pair(value, 1.0),), startup=0.1, seed=seed
        )


def space(folder: Path, **flags: tuple[str, ...]) -> Space:
    """A space of made-up flags, held to no XLA."""
    return Space(folder / "made-up.toml", "for a test", "cpu", (), flags)


def compiled(one: Candidate, inert: frozenset[str] = frozenset()) -> Compiled:
    """The candidate's program: one for each choice of the flags that are not inert."""
    acting = [pair for pair in one.flags if pair[0] not in inert]
    digest = hashlib.sha256(repr(acting).encode()).hexdigest()
    return Compiled(one, Fate.COMPILES, digest=digest, memory=1, seconds=0.1)
