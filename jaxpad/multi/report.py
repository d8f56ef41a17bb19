"""What all processes together say: the answer of `merge`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jaxpad.core.codec import to_plain
from jaxpad.core.results import Verdict
from jaxpad.multi.record import Aside, Check, Pair, Rate, Record

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
            **to_plain(self),
        }

    @property
    def summary(self) -> tuple[str, ...]:
        """Lines for people: the verdict, who is to blame, failed checks, rates."""
        return lines(self)


# A report, and a record, in lines for people.

_MOST = 20  # lines of a kind


def lines(report: MultiReport) -> tuple[str, ...]:
    """The verdict, who is to blame, what failed, and rates."""
    from jaxpad.multi.comparison import ranks_words

    blamed = [
        f"  {one.node} ({ranks_words(one.ranks)}) {one.fault}: {one.why}"
        if one.sure
        else f"  perhaps {one.node} ({ranks_words(one.ranks)}) {one.fault}: {one.why}"
        for one in report.blame
    ]
    aside = [f"  {one.name} is set aside: {one.why}" for one in report.aside]
    return (
        f"{report.verdict}: {report.why}",
        *_cut(blamed),
        *_checks(report.checks),
        *_rates(report.rates),
        *_cut([f"  {' with '.join(p.nodes)}: {p.gb_per_s:.3g} GB/s" for p in report.pairs]),
        *_cut(aside),
    )


def of_record(record: Record) -> tuple[str, ...]:
    """What one process says of itself."""
    where = f"rank {record.rank} of {record.processes} on {record.node}"
    end = record.end
    ended = "" if end is None or end.how == "finished" else f"; it {ended_words(record)}"
    return (f"{record.verdict}: {where}{ended}", *_checks(record.checks), *_rates(record.rates))


def ended_words(record: Record) -> str:
    """How and where a process ended, as the second half of a sentence."""
    at = f"in stage {record.stage.name} ({record.stage.detail})"
    if record.end is None:
        return f"wrote nothing after it began {at[3:]}"
    how = {"stopped": "was stopped", "cancelled": "was cancelled"}.get(record.end.how)
    return f"{how or record.end.how} {at}: {record.end.why}"


def _checks(checks: Sequence[Check]) -> list[str]:
    told = []
    for check in checks:
        told.append(f"  {check.verdict}  {check.name}: {check.reason}")
        if check.remedy and check.verdict is not Verdict.PASS:
            told.append(f"    {check.remedy}")
    return told


def _rates(rates: Sequence[Rate]) -> list[str]:
    return [
        f"  {rate.kind} of {rate.bytes >> 20} MiB: {rate.gb_per_s:.3g} GB/s on the bus"
        for rate in rates
    ]


def _cut(told: list[str]) -> list[str]:
    rest = len(told) - _MOST
    return [*told[:_MOST], f"  and {rest} more"] if rest > 0 else told
