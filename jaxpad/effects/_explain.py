"""Every flag of a profile alone and left out, held to what there is without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad import flags, gpus, profiles, workloads
from jaxpad.effects import _cache
from jaxpad.effects._compute import Watcher, compute
from jaxpad.effects._judge import REFUSED, Effect, judge
from jaxpad.effects._model import NoProgramError, Outcome, Place, Words
from jaxpad.effects._refused import refused

LIMIT, WORKERS = 120.0, 2  # seconds for one compile; processes at once


@dataclass(frozen=True)
class Question:
    """Which profile is explained, for what, and against what: None means XLA's defaults."""

    profile: profiles.Profile
    gpu: gpus.GpuDescription
    workload: workloads.Workload
    against: profiles.Profile | None = None
    limit: float = LIMIT
    workers: int = WORKERS


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


def explain(question: Question, watcher: Watcher | None = None) -> Explanation:
    """Compile what is not kept yet, and judge each flag.

    A flag of several words (lists that accumulate) is one flag; its value is the last. What
    XLA refuses is left out of all else, or nothing would compile.

    Raises UsageError for a GPU or workload at fault, NoProgramError where what all is held
    to does not compile.
    """
    version = flags.jaxlib_version()
    given = _words(question.profile, version)
    floor = _words(question.against, version) if question.against else ()
    no = refused((*floor, *given))
    _hold_against(question, floor, no)
    taken = tuple(word for word in given if _name(word) not in no)
    pairs = {name: _pairs(name, floor, taken) for name in dict.fromkeys(map(_name, taken))}
    wanted = {floor, taken}.union(*(cells for both in pairs.values() for cells in both))
    found = _outcomes(question, wanted, watcher)
    if found[floor].program is None:
        raise NoProgramError(_nothing(question, found[floor].message))
    effects = {
        name: tuple(judge(name, found[one], found[other]) for one, other in both)
        for name, both in pairs.items()
    }
    effects |= {name: (effect, effect) for name, effect in no.items()}
    values = dict(word.removeprefix("--").split("=", 1) for word in given)
    return Explanation(
        profile=question.profile.name,
        against=question.against.name if question.against else None,
        gpu=question.gpu.name,
        workload=question.workload.name,
        jaxlib=version,
        flags=tuple(FlagEffects(name, value, *effects[name]) for name, value in values.items()),
        whole=judge("", found[floor], found[taken]),
    )


def _words(profile: profiles.Profile, version: str) -> Words:
    return tuple(flag.word for _, flag in profiles.select(profile, version))


def _name(word: str) -> str:
    return word.removeprefix("--").partition("=")[0]


def _pairs(name: str, floor: Words, taken: Words) -> tuple[tuple[Words, Words], ...]:
    """What is held to what: the floor to the flag on top of it, all to all but the flag."""
    own = tuple(word for word in taken if _name(word) == name)
    others = tuple(word for word in taken if _name(word) != name)
    return (floor, floor + own), (taken, others)


def _outcomes(
    question: Question, wanted: Iterable[Words], watcher: Watcher | None
) -> Mapping[Words, Outcome]:
    keys = {
        words: _cache.cell(question.gpu, question.workload, words)
        for words in sorted(wanted, key=lambda words: (len(words), words))
    }
    place = Place(question.gpu.name, question.workload.name)
    return compute(keys, place, question.limit, question.workers, watcher or Watcher())


def _hold_against(question: Question, floor: Words, no: Mapping[str, Effect]) -> None:
    for name in map(_name, floor):
        if question.against and name in no:
            raise NoProgramError(
                f"profile {question.against.name}, which all is held to, has a flag that XLA "
                f"refuses: {no[name].reason}"
            )


def _nothing(question: Question, said: str) -> str:
    under = f"under profile {question.against.name}" if question.against else "with no flags"
    return (
        f"{question.workload.name} does not compile for {question.gpu.name} {under}, so there is "
        f"nothing to hold a flag to: {said}"
    )
