"""Which program to measure next, until the budget is spent or nothing new is proposed.

Few programs are all measured. Of many, each flag alone comes first, then what the better ones
make together; then Optuna's TPE proposes, and what it proposes that is known already is told
to it without a measurement: https://optuna.readthedocs.io (TPESampler).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jaxpad.tune._model import Candidate, End, Measured, Ratio
from jaxpad.tune._space import Space

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
