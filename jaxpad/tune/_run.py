"""A whole tuning run: compile, search, confirm, and what is left of it when it is cut short."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from jaxpad import effects
from jaxpad.errors import UsageError
from jaxpad.tune import _compile, _search
from jaxpad.tune._model import Candidate, Compiled, End, Fate, Measured, Ratio, Tuned
from jaxpad.tune._search import Board
from jaxpad.tune._space import Space
from jaxpad.tune._study import Study

_HELD_OUT = 1_000_003  # added to the seed for what confirms


class Meter(Protocol):
    """What measures: `jaxpad.tune.Bench`, or a double of it."""

    def measure(
        self, candidate: Candidate, digest: str, *, seed: int, best: Ratio | None
    ) -> Measured:
        """A candidate held to the baseline, stopped early where it cannot beat `best`."""

    def confirm(self, candidate: Candidate, digest: str, *, seed: int) -> Measured:
        """The same afresh, on other inputs, never stopped early."""


@dataclass(frozen=True)
class Watcher:
    """Told of the compile stage, and of each measurement: how many are done, of how many."""

    compiling: _compile.Watcher = field(default_factory=_compile.Watcher)
    compiled: Callable[[str], None] = lambda _: None
    measured: Callable[[int, int], None] = lambda _done, _of: None


@dataclass(frozen=True)
class Request:
    """What to tune, how far.

    `about` is noted in the result as it is. `measurements` is how many at most, 0 for the
    default; `minutes` when no further one is begun, 0 for never. With `bench` None the
    compile stage is all there is.
    """

    space: Space
    target: _compile.Target
    about: Mapping[str, str]
    seed: int
    bench: Callable[[], AbstractContextManager[Meter]] | None
    minutes: float = 0
    measurements: int = 0
    effort: effects.Effort = field(default_factory=effects.Effort)


class Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.parts = {"compile": 0.0, "measure": 0.0, "confirm": 0.0}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what happens inside to a part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.parts[part] += time.monotonic() - begun

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    @property
    def seconds(self) -> dict[str, float]:
        """Every part, and under `other` what is in none."""
        return self.parts | {"other": self.elapsed - sum(self.parts.values())}


@dataclass
class Run:
    """One run on one study; after an interrupt `result` has what was found so far."""

    request: Request
    study: Study
    watcher: Watcher = field(default_factory=Watcher)
    clock: Clock = field(default_factory=Clock)

    def go(self) -> Tuned:
        """All of it. Raises UsageError for a workload or a space at fault."""
        with self.clock.of("compile"):
            self._compile()
        self.watcher.compiled(summary(self.compiled))
        if self.request.bench:
            self._tune()
        return self.result()

    @property
    def compiled(self) -> tuple[Compiled, ...]:
        """Every candidate of the space that was compiled, in the space's order."""
        held = self.study.compiled
        return tuple(held[one] for one in self.request.space.candidates() if one in held)

    @property
    def board(self) -> Board:
        """What is known for the search."""
        programs = {one.candidate: one.digest for one in self.compiled if one.digest}
        held = self.study.measured.items()  # what was disturbed is measured again
        kept = {digest: one for digest, one in held if one.end is not End.DISTURBED}
        return Board(self.request.space, programs, kept)

    def result(self) -> Tuned:
        """What is known by now."""
        confirmed = tuple(self.study.confirmed.values())
        faster = [one for one in confirmed if one.ratio and one.ratio.faster]
        return Tuned(
            about=self.request.about,
            compiled=self.compiled,
            measured=tuple(self.study.measured.values()),
            confirmed=confirmed,
            winner=faster[-1].candidate if faster else None,
            seconds=self.clock.seconds,
        )

    def _compile(self) -> None:
        request = self.request
        left = [one for one in request.space.candidates() if one not in self.study.compiled]
        if left:
            watching = self.watcher.compiling
            _compile.compile_all(request.target, left, request.effort, self.study, watching)
        base = self.study.compiled[Candidate()]
        if base.fate is not Fate.COMPILES:
            raise UsageError(
                f"{request.target.workload} does not compile under the baseline "
                f"({base.fate}: {base.reason}); mend it there"
            )

    def _tune(self) -> None:
        board = self.board
        budget = self.request.measurements or _search.default_budget(board)
        assert self.request.bench
        if len(board.distinct) == 1:
            return  # every candidate is the baseline's program
        with self.clock.of("measure"):  # its processes start here
            opened = self.request.bench()
            meter = opened.__enter__()
        try:
            self._measure(board, meter, budget)
            self._confirm(board, meter)
        finally:
            with self.clock.of("measure"):
                opened.__exit__(None, None, None)

    def _measure(self, board: Board, meter: Meter, budget: int) -> None:
        def one(candidate: Candidate, digest: str, best: Ratio | None) -> Measured:
            with self.clock.of("measure"):
                found = meter.measure(candidate, digest, seed=self.request.seed, best=best)
            found = dataclasses.replace(found, candidate=candidate, digest=digest)
            self.study.keep("measured", found)
            self.watcher.measured(len(self.study.measured), budget)
            return found

        _search.search(
            board,
            one,
            seed=self.request.seed,
            budget=budget,
            enough=self._late,
        )

    def _confirm(self, board: Board, meter: Meter) -> None:
        """The best one again, unless it is behind the baseline."""
        best = board.finalist
        if best is None or best.ratio is None or best.ratio.value <= 1.0:
            return
        before = self.study.confirmed.get(best.digest)
        if before and before.end is not End.DISTURBED:
            return
        with self.clock.of("confirm"):
            seed = self.request.seed + _HELD_OUT
            found = meter.confirm(best.candidate, best.digest, seed=seed)
        self.study.keep(
            "confirmed", dataclasses.replace(found, candidate=best.candidate, digest=best.digest)
        )

    def _late(self) -> bool:
        return 0 < self.request.minutes * 60 <= self.clock.elapsed


def undecided(tuned: Tuned) -> bool:
    """Whether the machine was too disturbed to measure anything, or to confirm the best."""
    ends = [one.end for one in tuned.measured]
    nothing = bool(ends) and all(end is End.DISTURBED for end in ends)
    last = tuned.confirmed[-1:] or ()
    return nothing or (tuned.winner is None and any(one.end is End.DISTURBED for one in last))


def summary(compiled: tuple[Compiled, ...]) -> str:
    """`216 candidates: 12 fatal, 3 rejected value, 41 distinct programs`."""
    fates = {fate: sum(one.fate is fate for one in compiled) for fate in Fate}
    others = [f"{count} {fate}" for fate, count in fates.items() if count]
    dropped = [words for words in others if not words.endswith(Fate.COMPILES)]
    programs = len({one.digest for one in compiled if one.digest})
    plural = "" if programs == 1 else "s"
    return f"{len(compiled)} candidates: " + ", ".join(
        [*dropped, f"{programs} distinct program{plural}"]
    )
