"""What is asked of a profile, and the answer, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad import gpus, profiles, workloads
from jaxpad.effects._judge import REFUSED, Effect
from jaxpad.effects._model import Cell, Outcome, Words


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
