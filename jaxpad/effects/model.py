"""A cell and what came of it, as plain data."""

from __future__ import annotations

import enum
import functools as ft
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad import schedule
from jaxpad.core import paths
from jaxpad.schedule import (
    Between,
    Collective,
    Digest,
    Kernels,
    Memory,
    Overlap,
    Part,
    Program,
    RooflineFigure,
    Thunks,
)

Words = tuple[str, ...]  # flags as they stand in XLA_FLAGS, in their order


class NoProgramError(Exception):
    """What all is held to does not compile, so that no flag can be judged: one sentence."""


@dataclass(frozen=True)
class Cell:
    """One flag set for one GPU and workload: names that `gpus` and `workloads` load."""

    gpu: str
    workload: str
    words: Words = ()


@dataclass(frozen=True)
class Outcome:
    """What XLA made of a cell: a program, or why there is none.

    `lasting` is False where another run may end otherwise: a compile that was too slow, or
    whose process somebody killed.
    """

    program: Program | None = None
    message: str = ""
    lasting: bool = True


@dataclass(frozen=True, eq=False)
class Task:
    """A cell to compile.

    `options` are the flags as compile options with their types, None where only XLA_FLAGS
    of a process of its own can say them.
    """

    cell: Cell
    options: Mapping[str, Any] | None


# A compiled program as JSON, and back.


def program(plain: dict[str, Any]) -> Program:
    """What `Program.to_json` wrote. Raises KeyError or TypeError for anything else."""
    memory = plain["memory"]
    return Program(
        gpu=plain["gpu"],
        kernels=tuple(Kernels(**one) for one in plain["kernels"]),
        collectives=tuple(map(_collective, plain["collectives"])),
        overlap=_overlap(plain["overlap"]),
        memory=None if memory is None else Memory(**_without(memory, "total", "fits")),
        thunks=Thunks(**plain["thunks"]),
        digest=_digest(plain["digest"]),
        seconds=plain["seconds"],
    )


def _collective(plain: dict[str, Any]) -> Collective:
    own = _without(plain, "exposed_seconds")
    between, loops = Between(**own["between"]), tuple(own["loops"])
    return Collective(**(own | {"between": between, "loops": loops}))


def _overlap(plain: dict[str, Any]) -> Overlap:
    figures = {name: RooflineFigure(**one) for name, one in plain["figures"].items()}
    return Overlap(**(plain | {"figures": figures, "missing": tuple(plain["missing"])}))


def _digest(plain: dict[str, Any]) -> Digest:
    parts = {name: Part(**one) for name, one in plain["parts"].items()}
    return Digest(parts, Part(**plain["unordered"]))


def _without(plain: dict[str, Any], *derived: str) -> dict[str, Any]:
    """What is written beside the fields, since it follows from them, is left out."""
    return {name: value for name, value in plain.items() if name not in derived}


# Flags whose effect no compiled program shows.

FILE = paths.CONFIGS / "xla" / "run-time-flags.toml"
RUN_TIME, KERNEL_CHOICE = "run time", "kernel choice"


@dataclass(frozen=True)
class Unseen:
    """Where a flag acts, if not in the program: at run time, or in choosing kernels on a device."""

    acts: str
    why: str
    source: str


@ft.cache
def unseen() -> dict[str, Unseen]:
    """Such flags by name. Source: configs/xla/run-time-flags.toml, with one for each."""
    rows = paths.read_toml(FILE)["flag"]
    return {row.pop("name"): Unseen(**row) for row in rows}


# The verdict on a flag, from what XLA makes of a flag set with it and without.


class Verdict(enum.StrEnum):
    """What a flag does; docs/explain.md has the words."""

    FATAL = "fatal"
    REJECTED = "rejected value"
    BREAKS = "breaks the compile"
    NO_EFFECT = "no effect"
    CHANGES = "changes"
    RUN_TIME = "run time only"
    UNDECIDED = "undecided without a device"


# What autotuning says where there is no device, on jaxlib 0.10.2 and 0.12.0.1.
_DEVICE = re.compile(r"Failed to get configs|No supported config|deviceless|autotun", re.IGNORECASE)

REFUSED = (Verdict.FATAL, Verdict.REJECTED)
NEITHER = "it does not compile with the flag or without"
DEFAULT = "this is XLA's own default"


@dataclass(frozen=True)
class Effect:
    """A verdict, with what changes in numbers, or the reason and, where it was read, its source."""

    verdict: Verdict
    changes: tuple[str, ...] = ()
    reason: str = ""
    source: str = ""

    def to_json(self) -> dict[str, Any]:
        """The verdict, and what else there is to say."""
        said = {"changes": list(self.changes), "reason": self.reason, "source": self.source}
        return {"verdict": str(self.verdict)} | {key: value for key, value in said.items() if value}


def judge(name: str, before: Outcome, after: Outcome) -> Effect:
    """Hold two outcomes to each other that differ by one flag, or by a whole profile (no name)."""
    if before.program is None or after.program is None:
        return _broken(before, after)
    same = schedule.same(before.program, after.program)
    if same is schedule.Same.YES:
        return _alike(name)
    changes = schedule.compare(before.program, after.program)
    if same is schedule.Same.UNKNOWN:
        return Effect(Verdict.UNDECIDED, reason="; ".join(changes))
    return Effect(Verdict.CHANGES, changes)


def _alike(name: str) -> Effect:
    found = unseen().get(name)
    if found is None:
        return Effect(Verdict.NO_EFFECT)
    verdict = Verdict.RUN_TIME if found.acts == RUN_TIME else Verdict.UNDECIDED
    return Effect(verdict, reason=found.why, source=found.source)


def _broken(before: Outcome, after: Outcome) -> Effect:
    """Where one did not compile.

    A compile that was cut short says nothing of the flag, and that XLA wants a device to time
    kernels on breaks nothing.
    """
    if before.program is None and after.program is None:
        why = f"{NEITHER}: {after.message}"
        return Effect(Verdict.UNDECIDED, reason=why)
    failed = after if after.program is None else before
    undecided = not failed.lasting or wants_device(failed.message)
    return Effect(Verdict.UNDECIDED if undecided else Verdict.BREAKS, reason=failed.message)


def wants_device(message: str) -> bool:
    """Whether XLA could not choose a kernel because there is no device to time them on."""
    return bool(_DEVICE.search(message))
