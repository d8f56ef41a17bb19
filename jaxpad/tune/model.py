"""What a tuning run knows, as plain data: candidates, their programs, their measurements.

A ratio is a speed-up everywhere: the baseline's time over the candidate's, so 1.10 is a step
that takes 1/1.10 of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True)
class Candidate:
    """One choice of flags beyond the baseline's: names with values, in the order of the names.

    The empty candidate is the baseline itself.
    """

    flags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, flags: Mapping[str, str]) -> Candidate:
        """The candidate that sets these flags, whatever their order."""
        return cls(tuple(sorted(flags.items())))

    @property
    def words(self) -> tuple[str, ...]:
        """As they stand in XLA_FLAGS, behind the baseline's own."""
        return tuple(f"--{name}={value}" for name, value in self.flags)


class Fate(StrEnum):
    """What became of a candidate before anything was measured."""

    COMPILES = "compiles"
    FATAL = "fatal"  # XLA does not know a flag and would end the process
    REJECTED = "rejected value"
    BREAKS = "breaks the compile"
    TOO_LARGE = "does not fit the memory"


@dataclass(frozen=True)
class Compiled:
    """A candidate after the compile stage.

    `digest` names the program, emitted code included: two candidates with the same digest run
    the same code. It is "" unless the fate is COMPILES. `memory` is what the program needs on
    one device, in bytes, `seconds` how long it took to compile.
    """

    candidate: Candidate
    fate: Fate
    reason: str = ""
    digest: str = ""
    memory: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Pair:
    """One turn of the baseline and one of the candidate, next to each other in time.

    Seconds a step: the median of the turn. `disturbed` says why the pair does not count
    (throttling, foreign load), or is empty.
    """

    baseline: float
    candidate: float
    disturbed: str = ""


@dataclass(frozen=True)
class Ratio:
    """A speed-up with its bootstrap confidence interval, over the pairs that count."""

    value: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """Whether the interval lies above 1.0 as a whole."""
        return self.low > 1.0


class End(StrEnum):
    """How a program's measurement ended."""

    MEASURED = "measured"
    STOPPED = "stopped early"  # it could not have become the best any more
    WRONG = "wrong results"  # its numbers differ from the baseline's by more than the tolerance
    FAILED = "failed"  # it did not run: out of memory, crashed, hung
    DISTURBED = "disturbed"  # too few pairs were left undisturbed


@dataclass(frozen=True)
class Measured:
    """One distinct program held to the baseline.

    `startup` is the seconds from the start of its process to its first result, compile
    included; no step time holds any of it. `ratio` is None unless there are pairs that count.
    """

    candidate: Candidate
    digest: str
    end: End
    ratio: Ratio | None = None
    pairs: tuple[Pair, ...] = ()
    startup: float = 0.0
    reason: str = ""
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """A whole tuning run, as tune.json holds it.

    `about` says what it was run on and with: workload and its digest, space and its digest,
    platform, GPU, driver, jaxlib, date, seed, baseline profile. `seconds` has the wall time
    of each part: compile, measure, confirm, other. `winner` is a candidate whose confirmation
    lies above 1.0 as a whole, or None: nothing beat the baseline.
    """

    about: Mapping[str, str]
    compiled: tuple[Compiled, ...] = ()
    measured: tuple[Measured, ...] = ()
    confirmed: tuple[Measured, ...] = ()
    winner: Candidate | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


# What is measured and how thoroughly, as plain data.


@dataclass(frozen=True)
class Step:
    """The step that is tuned and what every process of it starts with.

    `workload` is a name or `package.module:function`, `platform` JAX's name of where it
    computes ("cpu" or "gpu"), `baseline` the words of XLA_FLAGS that both sides have,
    `environ` further variables of both.
    """

    workload: str
    platform: str = "cpu"
    baseline: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Effort:
    """How long is measured, and how sure a result has to be; docs/tune.md gives the reasons.

    A turn lasts about `turn_s` seconds and is `pairs` times taken by each side, or fewer where
    the candidate is stopped early, which is not before `least`. A confirmation has `starts` new
    processes of each side with `start_pairs` pairs in each, or twice as many. `level` and
    `confirm_level` are the two-sided levels of the intervals. `spare` is how many pairs may be
    disturbed for each one that is wanted, `waiting` the share of a turn that threads may wait
    for a core that others have: a turn's median does not move before half of its steps are hit.
    A step of more than `slowest_s` is refused; `starting_s` limits a start.
    """

    turn_s: float = 0.05
    pairs: int = 20
    least: int = 8
    starts: int = 6
    start_pairs: int = 8
    level: float = 0.95
    confirm_level: float = 0.995
    spare: int = 2
    waiting: float = 0.25
    slowest_s: float = 30.0
    starting_s: float = 300.0
