"""Which program to measure next, until the budget is spent or nothing new is proposed.

Few programs are all measured. Of many, each flag alone comes first, then what the better ones
make together; then Optuna's TPE proposes, and what it proposes that is known already is told
to it without a measurement: https://optuna.readthedocs.io (TPESampler).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jaxpad.tune.model import Candidate, End, Measured, Pair, Ratio
from jaxpad.tune.spaces import Space

if TYPE_CHECKING:
    import optuna

FEW = 16  # distinct programs that are all measured
SHARE = 3  # by default at most one measurement for so many candidates
FINALISTS = 1  # measured again afresh: more would name a chance winner more often
ALIKE = 0.005  # a speed-up this much smaller is as good: no measurement here tells them apart
STALLED = 100  # proposals in a row that bring no new program

Measure = Callable[[Candidate, str, Ratio | None], Measured]


@dataclass
class Board:
    """What is known: every candidate's program, and the measurement of those that have one."""

    space: Space
    programs: Mapping[Candidate, str]
    measured: dict[str, Measured] = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The digest of the baseline's own program."""
        return self.programs[Candidate()]

    @property
    def distinct(self) -> dict[str, Candidate]:
        """For each program the candidate with the fewest flags that makes it."""
        found: dict[str, Candidate] = {}
        for one, digest in sorted(self.programs.items(), key=lambda item: _rank(item[0])):
            found.setdefault(digest, one)
        return found

    @property
    def best(self) -> Measured | None:
        """The program that is furthest ahead of the baseline, measured to the end."""
        return max(self._done, key=_speed, default=None)

    @property
    def _done(self) -> list[Measured]:
        return [one for one in self.measured.values() if one.end is End.MEASURED and one.ratio]

    @property
    def finalist(self) -> Measured | None:
        """The best; of programs that are as good as that, the one with the fewest flags."""
        best = self.best
        if best is None:
            return None
        alike = [one for one in self._done if _speed(one) >= _speed(best) * (1 - ALIKE)]
        return min(alike, key=lambda one: (len(one.candidate.flags), -_speed(one)))

    def value(self, candidate: Candidate) -> float | None:
        """A candidate's speed-up where it is known, None where it is not or there is none."""
        digest = self.programs.get(candidate)
        if digest == self.baseline:
            return 1.0
        known = self.measured.get(digest or "")
        if known is None or known.end not in (End.MEASURED, End.STOPPED) or known.ratio is None:
            return None
        return known.ratio.value

    def known(self, candidate: Candidate) -> bool:
        """Whether there is nothing to measure: no program, the baseline's, or one measured."""
        digest = self.programs.get(candidate)
        return digest is None or digest == self.baseline or digest in self.measured


def default_budget(board: Board) -> int:
    """Measurements of a search: all programs where they are few, else a share of the candidates."""
    programs = len(board.distinct) - 1
    return min(programs, max(FEW, board.space.size // SHARE - FINALISTS))


def search(
    board: Board,
    measure: Measure,
    *,
    seed: int,
    budget: int,
    enough: Callable[[], bool] = lambda: False,
) -> None:
    """Measure programs and put each on the board, at most `budget` with those there already.

    `enough` is asked before each; True ends the search.
    """
    turn = _Turn(board, measure, budget, enough)
    if len(board.distinct) - 1 <= min(FEW, budget):
        for one in board.distinct.values():
            turn.take(one)
    else:
        _propose(turn, seed)


@dataclass
class _Turn:
    """Measuring, one after another, while there is budget."""

    board: Board
    measure: Measure
    budget: int
    enough: Callable[[], bool]

    @property
    def over(self) -> bool:
        programs = len(self.board.distinct) - 1
        return len(self.board.measured) >= min(self.budget, programs) or self.enough()

    def take(self, candidate: Candidate) -> bool:
        """Measure what is not known; False where it was, or the search is over."""
        if self.board.known(candidate) or self.over:
            return False
        digest = self.board.programs[candidate]
        best = self.board.best
        shown = self.board.distinct[digest]
        self.board.measured[digest] = self.measure(shown, digest, best.ratio if best else None)
        return True


def _propose(turn: _Turn, seed: int) -> None:
    study = _study(turn.board, seed)
    for single in turn.board.space.singles:
        turn.take(single)
        _tell(study, turn.board, single)
    for one in _together(turn.board):
        turn.take(one)
        _tell(study, turn.board, one)
    idle = 0
    while not turn.over and idle < STALLED:
        trial = study.ask()
        one = _chosen(trial, turn.board.space)
        idle = 0 if turn.take(one) else idle + 1
        value = turn.board.value(one)
        if value is None:
            study.tell(trial, state=_states().FAIL)
        else:
            study.tell(trial, value)


def _together(board: Board) -> list[Candidate]:
    """The better values of each flag joined, best flag first: two flags, three, and so on."""
    better: dict[str, tuple[float, str]] = {}
    for one in board.space.singles:
        value, (name, choice) = board.value(one), one.flags[0]
        if value is not None and value > max(1.0, better.get(name, (0.0, ""))[0]):
            better[name] = (value, choice)
    order = sorted(better, key=lambda name: -better[name][0])
    return [
        Candidate.of({name: better[name][1] for name in order[:count]})
        for count in range(2, len(order) + 1)
    ]


def _study(board: Board, seed: int) -> optuna.Study:
    """Optuna's study in memory, told all that is measured: the study file is what is kept.

    Its own journal would be synced to disk nine times a proposal, half of the search's time.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():  # multivariate sampling is marked experimental
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=8)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for one in board.measured.values():
        _tell(study, board, one.candidate)
    return study


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState


def _chosen(trial: optuna.Trial, space: Space) -> Candidate:
    chosen = {
        name: trial.suggest_categorical(name, _choices(values))
        for name, values in space.flags.items()
    }
    return Candidate.of({name: str(one) for name, one in chosen.items() if one is not None})


def _choices(values: tuple[str, ...]) -> tuple[str | None, ...]:
    return (None, *values)


def _tell(study: optuna.Study, board: Board, one: Candidate) -> None:
    """What was chosen without Optuna, as a trial that is over."""
    import optuna

    value = board.value(one)
    if value is None:
        return
    flags = dict(one.flags)
    spread: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(_choices(values))
        for name, values in board.space.flags.items()
    }
    params = {name: flags.get(name) for name in spread}
    known = study.get_trials(deepcopy=False)
    if all(trial.params != params for trial in known):
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spread, value=value))


def _speed(one: Measured) -> float:
    return one.ratio.value if one.ratio else 0.0


def _rank(one: Candidate) -> tuple[Any, ...]:
    return (len(one.flags), one.flags)


# Speed-ups from pairs of turns, with intervals that claim no more than the data hold.
#
# The estimate is that of Hodges and Lehmann (Estimates of Location Based on Rank Tests, 1963) on
# the pairs' ratios: the median of the means of any two. Two turns next to each other share the
# machine's slow drift, which the ratio takes out. Which of them came first shifts a pair one way
# or the other by some per cent: a median of two such heaps jumps between them, a mean would follow
# every burst, and this does neither. The interval is a percentile bootstrap (Efron and Tibshirani,
# An Introduction to the Bootstrap, 1993, chapter 13). Two processes of one program differ by where
# their memory lies (Mytkowicz and others, Producing Wrong Data Without Doing Anything Obviously
# Wrong, ASPLOS 2009), which no number of pairs averages out: a confirmation therefore starts
# processes anew and takes these starts, not the pairs, as what repeats (Kalibera and Jones,
# Rigorous Benchmarking in Reasonable Time, ISMM 2013).

RESAMPLES = 4000
_SEED = 20  # the same pairs give the same interval


def counting(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that nothing disturbed."""
    return [pair for pair in pairs if not pair.disturbed]


def ratio(pairs: Sequence[Pair], level: float) -> Ratio | None:
    """The speed-up over the pairs that count and its two-sided interval; None without any."""
    import numpy as np

    logs = _logs(pairs)
    if not logs:
        return None
    rng = np.random.default_rng(_SEED)
    drawn = rng.choice(np.asarray(logs), size=(RESAMPLES, len(logs)))
    return _ratio(float(centre(logs)), centre(drawn), level)


def centre(values: Any) -> Any:
    """The Hodges-Lehmann estimate along the last axis."""
    import numpy as np

    values = np.asarray(values)
    one, other = np.triu_indices(values.shape[-1])
    return np.median((values[..., one] + values[..., other]) / 2, axis=-1)


def over_starts(starts: Sequence[Sequence[Pair]], level: float) -> Ratio | None:
    """The speed-up over several starts of both processes; None where fewer than three count.

    A start counts by the centre of its pairs, which holds the noise of its pairs already. The
    interval is the wider, at each end, of two: a bootstrap that resamples the starts, and
    Student's t on them, since a bootstrap of a handful is too narrow (the same book, 12.5).
    """
    import numpy as np
    from scipy import stats  # here: JAX brings it, and it takes a second to import

    each = np.asarray([centre(found) for found in map(_logs, starts) if found])
    if len(each) < 3:
        return None
    mean = float(np.mean(each))
    spread = float(np.std(each, ddof=1)) / math.sqrt(len(each))
    half = float(stats.t.ppf(1 - (1 - level) / 2, len(each) - 1)) * spread
    rng = np.random.default_rng(_SEED)
    drawn = rng.choice(each, size=(RESAMPLES, len(each)))
    found = _ratio(mean, np.mean(drawn, axis=1), level)
    return Ratio(
        found.value,
        min(found.low, math.exp(mean - half)),
        max(found.high, math.exp(mean + half)),
    )


def _ratio(value: float, drawn: Any, level: float) -> Ratio:
    import numpy as np

    low, high = np.quantile(drawn, [(1 - level) / 2, 1 - (1 - level) / 2])
    return Ratio(math.exp(value), math.exp(float(low)), math.exp(float(high)))


def _logs(pairs: Sequence[Pair]) -> list[float]:
    return [math.log(pair.baseline / pair.candidate) for pair in counting(pairs)]
