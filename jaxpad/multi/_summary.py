"""A report, and a record, in lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxpad.multi._record import Check, Rate, Record
from jaxpad.verdict import Verdict

if TYPE_CHECKING:
    from jaxpad.multi._report import MultiReport

_MOST = 20  # lines of a kind


def lines(report: MultiReport) -> tuple[str, ...]:
    """The verdict, who is to blame, what failed, and rates."""
    from jaxpad.multi._odd import ranks_words

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
