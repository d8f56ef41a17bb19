"""Hold programs to the baseline, turn by turn, each in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from jaxpad.errors import UsageError
from jaxpad.tune import _load
from jaxpad.tune._alike import differs
from jaxpad.tune._gpu import Watch, gpus_of, watched
from jaxpad.tune._model import Candidate, End, Measured, Pair, Ratio
from jaxpad.tune._side import Side, SideError
from jaxpad.tune._stats import counting, over_starts, ratio
from jaxpad.tune._step import Effort, Step

_EVERY = 4  # pairs between two looks at whether it is worth going on
_LOOKS = 2  # at a confirmation, the second with twice the starts
_ONE_CORE = 1.25  # cores in use, up to which a step is taken to keep to one


class _WrongError(Exception):
    """A candidate whose numbers are not the baseline's."""


@dataclass
class _Duel:
    """Both processes, fed, and how many steps a turn has.

    `cores` is empty where a side needs several at once: both then run wherever the kernel likes.
    """

    base: Side
    other: Side
    steps: int
    limit: float
    cores: tuple[int, ...] = ()

    def place(self, pair: int) -> tuple[int, ...]:
        """The core on which both turns of a pair run: the next one after each four pairs."""
        return self.cores and (self.cores[pair // 4 % len(self.cores)],)

    def order(self, pair: int) -> tuple[Side, Side]:
        """A B, B A, B A, A B, and so on (Thue and Morse): no drift favours a side for long."""
        turned = pair.bit_count() % 2
        return (self.other, self.base) if turned else (self.base, self.other)


class Bench:
    """The baseline's process, kept, and one after another a candidate's beside it.

    `watcher` is told of every pair. Entering raises UsageError for a step that does not run,
    returns nothing, gives other results when called again, or takes too long.
    """

    def __init__(
        self, step: Step, effort: Effort, *, watcher: Callable[[Pair], None] = lambda _: None
    ) -> None:
        self._step, self._effort, self._watcher = step, effort, watcher
        self._base: Side | None = None
        self._steps, self._took = 1, 0.0
        self._gpu: Watch | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        if self._step.platform != "cpu":
            self._gpu = self._held.enter_context(watched(gpus_of(self._step)))
        try:
            self._baseline(0)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drop()
        self._held.close()

    def measure(
        self, candidate: Candidate, digest: str, *, seed: int, best: Ratio | None
    ) -> Measured:
        """A candidate held to the baseline, stopped early where it cannot beat `best`."""
        pairs: list[Pair] = []
        bar = max(1.0, best.low) if best else 1.0
        with self._open(candidate) as other:
            startup, reason, end = 0.0, "", End.MEASURED
            try:
                duel, startup = self._meet(self._baseline(seed), other, seed)
                end, reason = self._pairs(duel, pairs, bar)
            except _WrongError as error:
                end, reason = End.WRONG, str(error)
            except SideError as error:
                end, reason = End.FAILED, str(error)
        found = ratio(pairs, self._effort.level)
        return Measured(candidate, digest, end, found, tuple(pairs), startup, reason, seed)

    def confirm(self, candidate: Candidate, digest: str, *, seed: int) -> Measured:
        """The same afresh: new processes several times, other inputs each, never stopped.

        Twice as many where the first ones speak for the candidate and do not prove it: the
        error that is allowed is shared by the two looks.
        """
        self._drop()  # a third process would want memory too
        starts: list[Measured] = []
        found: Ratio | None = None
        for look in range(_LOOKS):
            while len(starts) < self._effort.starts * (look + 1):
                starts.append(self._start(candidate, digest, seed + len(starts)))
                if starts[-1].end is not End.MEASURED:
                    return _joined(starts, None, seed)
            found = over_starts([one.pairs for one in starts], self._level)
            if found is None or found.faster or found.value <= 1.0:
                break
        return _joined(starts, found, seed)

    @property
    def _level(self) -> float:
        """The interval's level at each look, for `confirm_level` over all of them."""
        return 1 - (1 - self._effort.confirm_level) / _LOOKS

    def _start(self, candidate: Candidate, digest: str, seed: int) -> Measured:
        """Both processes anew, and their pairs."""
        pairs: list[Pair] = []
        startup, reason, end = 0.0, "", End.MEASURED
        with self._open(Candidate()) as base, self._open(candidate) as other:
            try:
                self._feed_base(base, seed)
                duel, startup = self._meet(base, other, seed)
                end, reason = self._pairs(duel, pairs, None)
            except _WrongError as error:
                end, reason = End.WRONG, str(error)
            except SideError as error:
                end, reason = End.FAILED, str(error)
        return Measured(candidate, digest, end, None, tuple(pairs), startup, reason, seed)

    def _baseline(self, seed: int) -> Side:
        """The kept process, started if there is none, with the inputs of this seed."""
        if self._base is None:
            self._base = Side(self._step, ())
        if self._base.seed != seed:
            try:
                self._feed_base(self._base, seed)
            except SideError as error:
                self._drop()
                raise UsageError(
                    f"{self._step.workload} does not run under the baseline ({error}); "
                    "mend it there"
                ) from error
        return self._base

    def _feed_base(self, base: Side, seed: int) -> None:
        took = base.feed(seed, self._effort.starting_s)["took"]
        if took > self._effort.slowest_s:
            raise UsageError(
                f"one step of {self._step.workload} takes {took:.0f} s, expected at most "
                f"{self._effort.slowest_s:.0f} s; tune a smaller batch or fewer layers of it"
            )
        if not self._took:
            first = max(base.turn(3, self._limit(3, took))["seconds"], 1e-6)
            self._steps = max(3, min(2000, round(self._effort.turn_s / first)))
            self._took = first

    def _meet(self, base: Side, other: Side, seed: int) -> tuple[_Duel, float]:
        """Feed the candidate and hold its results to the baseline's."""
        try:
            answer = other.feed(seed, self._effort.starting_s)
        except UsageError as error:  # the baseline has shown that the step itself is sound
            raise _WrongError(str(error)) from error
        if said := differs(other.results, base.results):
            raise _WrongError(said)
        limit = self._limit(self._steps, max(self._took, answer["took"]))
        cores = self._cores((base, other), limit)
        return _Duel(base, other, self._steps, limit, cores), answer["done"] - other.begun

    def _cores(self, sides: Sequence[Side], limit: float) -> tuple[int, ...]:
        """The cores to take in turn, where no side keeps more than one busy; else none.

        Of two cores one is often slower for seconds, by what its sibling or a neighbour on the
        same host does. Left to the kernel, one side may have the slow one for a whole start.
        """
        if self._step.platform != "cpu":
            return ()
        used = [load["own"] / load["wall"] for load in self._loads(sides, limit)]
        return tuple(sorted(os.sched_getaffinity(0))) if max(used) < _ONE_CORE else ()

    def _loads(self, sides: Sequence[Side], limit: float) -> Iterator[Mapping[str, float]]:
        for side in sides:
            yield side.turn(self._steps, limit)["load"]

    def _limit(self, steps: int, took: float) -> float:
        return 20 + 20 * (steps + 2) * took

    def _pairs(self, duel: _Duel, pairs: list[Pair], bar: float | None) -> tuple[End, str]:
        """Take pairs until enough of them count, too many do not, or the bar is out of reach."""
        effort = self._effort
        wanted = effort.pairs if bar is not None else effort.start_pairs
        while len(good := counting(pairs)) < wanted:
            if len(pairs) - len(good) >= effort.spare * wanted:
                why = next(pair.disturbed for pair in reversed(pairs) if pair.disturbed)
                return End.DISTURBED, (
                    f"{len(pairs) - len(good)} of {len(pairs)} pairs were disturbed, the last "
                    f"since it {why}; try again when the machine is at rest"
                )
            pair = self._pair(duel, len(pairs))
            pairs.append(pair)
            self._watcher(pair)
            if bar is not None and not pair.disturbed and self._hopeless(pairs, bar):
                return End.STOPPED, ""
        return End.MEASURED, ""

    def _pair(self, duel: _Duel, number: int) -> Pair:
        """A turn of each."""
        turns = {}
        for side in duel.order(number):
            try:
                turns[side] = side.turn(duel.steps, duel.limit, duel.place(number))
            except SideError as error:
                if side is not duel.base:
                    raise
                self._drop()
                raise SideError(f"the baseline's process ended beside it: {error}") from error
        why = [_load.disturbed(turn["load"], self._effort.waiting) for turn in turns.values()]
        span = sum(turn["load"]["wall"] for turn in turns.values())
        base, other = turns[duel.base]["seconds"], turns[duel.other]["seconds"]
        why += [self._gpu.disturbed(span, len(turns))] if self._gpu else []
        return Pair(base, other, next(filter(None, why), ""))

    def _hopeless(self, pairs: list[Pair], bar: float) -> bool:
        count = len(counting(pairs))
        if count < self._effort.least or count % _EVERY:
            return False
        found = ratio(pairs, self._effort.level)
        return found is not None and found.high < bar

    @contextlib.contextmanager
    def _open(self, candidate: Candidate) -> Iterator[Side]:
        side = Side(self._step, candidate.words)
        try:
            yield side
        finally:
            side.close()

    def _drop(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None


def _joined(starts: Sequence[Measured], found: Ratio | None, seed: int) -> Measured:
    """All starts as one measurement, which ended as the last did."""
    pairs = tuple(pair for one in starts for pair in one.pairs)
    return dataclasses.replace(starts[-1], ratio=found, pairs=pairs, seed=seed)
