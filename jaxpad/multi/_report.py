"""What all processes together say: the answer of `merge`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from jaxpad.multi import _wire
from jaxpad.multi._read import Aside
from jaxpad.multi._record import Check, Pair, Rate
from jaxpad.verdict import Verdict

SCHEMA_VERSION = 1


class Fault(enum.StrEnum):
    """What a rank or node is blamed for."""

    NOT_STARTED = "did not start"
    DIED = "died"
    UNREACHED = "does not reach the coordinator, or is not reached"
    HUNG = "hung or late"
    RAISED = "ended with an error"
    DIFFERS = "differs from its peers"
    WRONG = "computed or received wrong numbers"
    SLOW = "slow"
    FAILED = "failed a check"


@dataclass(frozen=True)
class Blame:
    """Who is at fault. `sure` is False where it is this node or another that is named."""

    node: str
    ranks: tuple[int, ...]
    fault: Fault
    why: str
    sure: bool = True


@dataclass(frozen=True)
class RankResult:
    """One process. `state` is an End's `how`, "silent" (no end written) or "missing"."""

    rank: int
    node: str
    state: str
    verdict: Verdict
    stage: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeResult:
    """One node: the worst of its ranks, and what it is blamed for."""

    node: str
    ranks: tuple[int, ...]
    verdict: Verdict
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class MultiReport:
    """A whole multi-process run."""

    verdict: Verdict
    why: str  # one sentence
    processes: int  # that there should be
    blame: tuple[Blame, ...] = ()
    ranks: tuple[RankResult, ...] = ()
    nodes: tuple[NodeResult, ...] = ()
    checks: tuple[Check, ...] = ()  # each question once, the worst answer with who gave it
    rates: tuple[Rate, ...] = ()  # the least over the processes
    pairs: tuple[Pair, ...] = ()
    transport: tuple[str, ...] = ()
    aside: tuple[Aside, ...] = ()  # what was not trusted, and why

    @property
    def exit_code(self) -> int:
        """0 passed, 1 failed, 3 inconclusive."""
        return self.verdict.exit_code

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON, with `schema` and `exit_code`."""
        return {
            "schema": SCHEMA_VERSION,
            "exit_code": self.exit_code,
            **_wire.to_plain(self),
        }

    @property
    def summary(self) -> tuple[str, ...]:
        """Lines for people: the verdict, who is to blame, failed checks, rates."""
        from jaxpad.multi._summary import lines

        return lines(self)
