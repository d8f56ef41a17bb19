"""What is measured and how thoroughly, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
