"""What a smoke run is asked to do, and who follows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jaxpad.health import Roots
from jaxpad.nvml import Trace
from jaxpad.platforms import Expectation
from jaxpad.results import CheckResult, Report
from jaxpad.runner._suite import Check

LIMIT = 180.0  # seconds one check may take; a first GPU compile with autotuning takes many


@dataclass(frozen=True)
class Plan:
    """What to run, and how."""

    checks: tuple[Check, ...]
    environ: Mapping[str, str]  # as the checks are to find it, profile applied
    origins: tuple[tuple[str, str, str], ...] = ()  # (flag, value, origin) of each XLA flag
    command: tuple[str, ...] = ()
    requested: str = "auto"
    profile: str | None = None
    limit: float = LIMIT
    thresholds: str | None = None  # a file that changes bounds
    strict: bool = False  # a shortfall that is explained fails, too
    names: bool = False  # keep the names of processes
    notes: tuple[str, ...] = ()  # what is the project's and not the shipped one
    roots: Roots = field(default_factory=Roots)  # tests lay out a machine


@dataclass(frozen=True)
class Watcher:
    """Who is told of progress."""

    expected: Callable[[Expectation], None] = lambda _: None  # before JAX is started
    settling: Callable[[], None] = lambda: None  # until the GPUs are at rest
    started: Callable[[Check], None] = lambda _: None
    finished: Callable[[CheckResult], None] = lambda _: None
    # The report so far, what the sampler has seen, and whether it is the last of the run.
    checked: Callable[[Report, Trace | None, bool], None] = lambda *_: None
