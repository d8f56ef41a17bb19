"""The verdict on a flag, from what XLA makes of a flag set with it and without."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any

from jaxpad import schedule
from jaxpad.effects._model import Outcome
from jaxpad.effects._run_time import RUN_TIME, unseen


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
