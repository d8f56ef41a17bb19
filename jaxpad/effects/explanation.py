"""Every flag of a profile alone and left out, held to what there is without it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxpad import flags, gpus, profiles, workloads
from jaxpad.effects import compilation
from jaxpad.effects.compilation import Effort, Watcher, compute
from jaxpad.effects.model import (
    DEFAULT,
    REFUSED,
    Cell,
    Effect,
    NoProgramError,
    Outcome,
    Verdict,
    Words,
    judge,
)

# What is asked of a profile, and the answer, as plain data.


@dataclass(frozen=True)
class Question:
    """Which profile is explained, for what, and against what: None means XLA's defaults."""

    profile: profiles.Profile
    gpu: gpus.GpuDescription
    workload: workloads.Workload
    against: profiles.Profile | None = None

    def cell(self, words: Words) -> Cell:
        """The cell of a flag set."""
        return Cell(self.gpu.name, self.workload.name, words)


@dataclass(frozen=True)
class FlagEffects:
    """What one flag does alone, and what leaving it out of the profile does."""

    name: str
    value: str
    alone: Effect
    left_out: Effect


@dataclass(frozen=True)
class Explanation:
    """A profile explained. `whole` is all of it, without the flags that XLA refuses."""

    profile: str
    against: str | None
    gpu: str
    workload: str
    jaxlib: str
    flags: tuple[FlagEffects, ...]
    whole: Effect

    @property
    def told(self) -> Effect:
        """All of it as people are told: no surer than its flags, which no program may show."""
        return _as_its_parts(self.whole, [flag.alone for flag in self.flags])

    @property
    def refused(self) -> bool:
        """Whether XLA refuses a flag, so that no process starts under the profile."""
        return any(flag.alone.verdict in REFUSED for flag in self.flags)

    def to_json(self) -> dict[str, Any]:
        """All as plain data."""
        rows = [
            {
                "name": flag.name,
                "value": flag.value,
                "alone": flag.alone.to_json(),
                "left_out": flag.left_out.to_json(),
            }
            for flag in self.flags
        ]
        named = ("profile", "against", "gpu", "workload", "jaxlib")
        said = {name: getattr(self, name) for name in named}
        return said | {"flags": rows, "whole": self.whole.to_json()}


@dataclass(frozen=True)
class Answers:
    """Explanations in the questions' order, and the outcome of each cell they rest on."""

    explanations: tuple[Explanation, ...]
    outcomes: Mapping[Cell, Outcome]


# What the installed XLA's parser makes of each flag alone.

_DEFAULT = "default"


@dataclass(frozen=True)
class Accepted:
    """By name: the flags that XLA does not know or whose value it refuses, with what it says.

    `defaults` are those that set an option to what it is anyway.
    """

    refused: dict[str, Effect]
    defaults: frozenset[str]


def accepted(words: Words) -> Accepted:
    """Ask for each alone, since XLA stops at the first fault. The answer is kept."""
    key = compilation.acceptance(words)
    kept = compilation.get(key)
    if not _are_answers(kept, words):
        kept = [list(row) for row in _ask(words)]
        compilation.put(key, kept)
    no = {n: Effect(Verdict(said), reason=why) for n, said, why in kept if said in REFUSED}
    other = {name for name, said, _ in kept if said != _DEFAULT}
    return Accepted(no, frozenset(name for name, _, _ in kept) - other)


def _are_answers(kept: Any, words: Words) -> bool:
    """Whether what was kept is rows as `_ask` gives them, of these flags."""
    names = {word.removeprefix("--").partition("=")[0] for word in words}
    said = {"", _DEFAULT, *Verdict}
    return isinstance(kept, list) and all(
        isinstance(row, list)
        and len(row) == 3
        and all(isinstance(part, str) for part in row)
        and row[0] in names
        and row[1] in said
        for row in kept
    )


def _ask(words: Words) -> Iterator[tuple[str, str, str]]:
    """Rows of name, verdict and reason; an empty verdict for a flag that sets something."""
    if not words:
        return
    clean, *readings = flags.read(["", *words])
    for word, reading in zip(words, readings, strict=True):
        name = word.removeprefix("--").partition("=")[0]
        if reading.ok and reading.options == clean.options and name in flags.catalogue():
            yield name, _DEFAULT, ""
        elif not reading.ok and flags.accept(word).unknown:
            yield name, Verdict.FATAL, flags.unknown(name)
        elif not reading.ok:
            yield name, Verdict.REJECTED, flags.complaint(reading.message)
        else:
            yield name, "", ""


def explain(
    question: Question, effort: Effort | None = None, watcher: Watcher | None = None
) -> Explanation:
    """Compile what is not kept yet, and judge each flag.

    A flag of several words (lists that accumulate) is one flag; its value is the last. What
    XLA refuses is left out of all else, or nothing would compile.

    Raises UsageError for a GPU or workload at fault, NoProgramError where what all is held
    to does not compile, or not to a program that fits the GPU's memory; at once, without
    the rest.
    """
    return explain_all([question], effort, watcher).explanations[0]


def explain_all(
    questions: Sequence[Question],
    effort: Effort | None = None,
    watcher: Watcher | None = None,
    more: Iterable[Cell] = (),
) -> Answers:
    """As `explain`, for many at once: a cell that several rest on is compiled once.

    The outcomes of `more` cells are among the answers too.
    """
    plans = [_plan(question) for question in questions]
    wanted = {cell for plan in plans for cell in plan.cells()}.union(more)
    floors = {plan.question.cell(plan.floor): plan.question for plan in plans}

    def hold(cell: Cell, outcome: Outcome) -> None:
        if cell in floors:
            _hold_floor(floors[cell], outcome)

    found = compute(wanted, effort or Effort(), watcher or Watcher(), hold)
    return Answers(tuple(plan.told(found) for plan in plans), found)


def told(question: Question, found: Mapping[Cell, Outcome]) -> Explanation:
    """The explanation that outcomes give. Raises NoProgramError as `explain` does."""
    return _plan(question).told(found)


def cells(questions: Iterable[Question]) -> frozenset[Cell]:
    """All that must be compiled to answer them."""
    return frozenset(cell for question in questions for cell in _plan(question).cells())


@dataclass(frozen=True)
class _Plan:
    """The flag sets of a question.

    `floor` is what all is held to, `taken` all of the profile that XLA takes, on top of it.
    """

    question: Question
    given: Words
    floor: Words
    taken: Words
    accepted: Accepted

    def cells(self) -> set[Cell]:
        """What must be compiled."""
        pairs = (pair for both in self._pairs().values() for pair in both)
        sets = {self.floor, self.taken}.union(*pairs)
        return {self.question.cell(words) for words in sets}

    def told(self, found: Mapping[Cell, Outcome]) -> Explanation:
        """The verdicts. Raises NoProgramError as `explain` does."""
        outcomes = {cell.words: found[cell] for cell in self.cells()}
        _hold_floor(self.question, outcomes[self.floor])
        effects = {name: (effect, effect) for name, effect in self.accepted.refused.items()}
        for name, both in self._pairs().items():
            alone, left_out = (judge(name, outcomes[one], outcomes[other]) for one, other in both)
            effects[name] = (self._with_default(name, alone), self._with_default(name, left_out))
        values = dict(word.removeprefix("--").split("=", 1) for word in self.given)
        return Explanation(
            profile=self.question.profile.name,
            against=self.question.against.name if self.question.against else None,
            gpu=self.question.gpu.name,
            workload=self.question.workload.name,
            jaxlib=flags.jaxlib_version(),
            flags=tuple(FlagEffects(name, value, *effects[name]) for name, value in values.items()),
            whole=judge("", outcomes[self.floor], outcomes[self.taken]),
        )

    def _with_default(self, name: str, effect: Effect) -> Effect:
        """Of a flag that says what is so anyway, also where it acts at run time."""
        set_below = any(_name(word) == name for word in self.floor)
        if name not in self.accepted.defaults or set_below or effect.changes:
            return effect
        return Effect(Verdict.NO_EFFECT, reason=DEFAULT)

    def _pairs(self) -> dict[str, tuple[tuple[Words, Words], ...]]:
        """For each flag what is held to what.

        Alone: the floor to the flag on top of it; left out: all to all but the flag.
        """
        found: dict[str, tuple[tuple[Words, Words], ...]] = {}
        for name in dict.fromkeys(map(_name, self.taken)):
            own = tuple(word for word in self.taken if _name(word) == name)
            others = tuple(word for word in self.taken if _name(word) != name)
            found[name] = ((self.floor, self.floor + own), (self.taken, others))
        return found


def _as_its_parts(whole: Effect, parts: Sequence[Effect]) -> Effect:
    """The whole of a profile with no effect in the program is no surer than its flags are.

    One that acts at run time, or chooses kernels on a device, is not seen in any program.
    """
    if whole.verdict is not Verdict.NO_EFFECT:
        return whole
    unseen = (Verdict.UNDECIDED, Verdict.RUN_TIME)
    return next((part for kind in unseen for part in parts if part.verdict is kind), whole)


def _plan(question: Question) -> _Plan:
    version = flags.jaxlib_version()
    given = _words(question.profile, version)
    floor = _words(question.against, version) if question.against else ()
    found = accepted((*floor, *given))
    _hold_against(question, floor, found.refused)
    taken = tuple(word for word in given if _name(word) not in found.refused)
    return _Plan(question, given, floor, taken, found)


def _words(profile: profiles.Profile, version: str) -> Words:
    return tuple(flag.word for _, flag in profiles.select(profile, version))


def _name(word: str) -> str:
    return word.removeprefix("--").partition("=")[0]


def _hold_against(question: Question, floor: Words, no: Mapping[str, Effect]) -> None:
    for name in map(_name, floor):
        if question.against and name in no:
            raise NoProgramError(
                f"profile {question.against.name}, which all is held to, has a flag that XLA "
                f"refuses: {no[name].reason}"
            )


def _hold_floor(question: Question, floor: Outcome) -> None:
    """Raises NoProgramError where there is no program to hold a flag to, or it does not fit."""
    workload, gpu = question.workload.name, question.gpu.name
    under = f"under profile {question.against.name}" if question.against else "with no flags"
    if floor.program is None:
        raise NoProgramError(
            f"{workload} does not compile for {gpu} {under}, so there is nothing to hold a flag "
            f"to: {floor.message}"
        )
    memory = floor.program.memory
    if memory and memory.fits is False:
        raise NoProgramError(
            f"{workload} is too large for {gpu}: {under} it needs {memory.total / 1e9:,.1f} GB, "
            f"and there are {(memory.available or 0) / 1e9:,.0f} GB; make it smaller, or name "
            "another GPU"
        )
