"""One report from what all processes say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxpad.multi import _blame, _join_checks
from jaxpad.multi._expected import Expected
from jaxpad.multi._missing import missing
from jaxpad.multi._read import Aside, Gathered, read
from jaxpad.multi._record import Record
from jaxpad.multi._report import Blame, Fault, MultiReport, NodeResult, RankResult
from jaxpad.multi._summary import ended_words
from jaxpad.verdict import Verdict, overall

_ANY = Expected()


def merge(given: Gathered | Sequence[Record] | Path, expected: Expected = _ANY) -> MultiReport:
    """The verdict on a run, and who is to blame: its cause, not its victims."""
    gathered = _sifted(_gathered(given), expected)
    records = gathered.records
    count = expected.processes or max((one.processes for one in records), default=0)
    absent = missing(gathered, expected, count)
    blame = _blame.blame(records, absent, expected)
    ranks = [*map(_rank, records), *(_absent(rank, node) for rank, node in absent.items())]
    nodes = _nodes(records, ranks, blame)
    hung = _blame.all_hang(records, absent)
    verdict = overall(
        [
            *(one.verdict for one in ranks),
            *map(_fault_verdict, blame),
            *([Verdict.INCONCLUSIVE] if gathered.aside else []),
            *([Verdict.FAIL] if hung else []),
        ]
    )
    return MultiReport(
        verdict=verdict,
        why=hung or _why(verdict, count, blame, ranks),
        processes=count,
        blame=blame,
        ranks=tuple(sorted(ranks, key=lambda one: one.rank)),
        nodes=nodes,
        checks=_join_checks.checks(records),
        rates=_join_checks.rates(records),
        pairs=_join_checks.pairs(records),
        transport=tuple(sorted({way for one in records for way in one.transport})),
        aside=gathered.aside,
    )


def _gathered(given: Gathered | Sequence[Record] | Path) -> Gathered:
    if isinstance(given, Path):
        return read(given)
    return given if isinstance(given, Gathered) else Gathered(tuple(given))


def _sifted(gathered: Gathered, expected: Expected) -> Gathered:
    """Without records of another run: of the one expected, else of the one that began last."""
    last = max(gathered.records, key=lambda one: one.began, default=None)
    run = expected.run or (last.run if last else "")
    count = expected.processes
    kept, aside = [], list(gathered.aside)
    for one in gathered.records:
        name = f"rank-{one.rank}.json"
        if one.run != run:
            aside.append(Aside(name, f"it is of another run, {one.run!r}, not {run!r}"))
        elif count is not None and one.rank >= count:
            aside.append(Aside(name, f"{count} processes are expected"))
        else:
            kept.append(one)
    return Gathered(tuple(kept), tuple(aside))


def _rank(record: Record) -> RankResult:
    """One process; one that ended early says where."""
    reasons = [f"{c.name}: {c.reason}" for c in record.checks if c.verdict.exit_code]
    if record.end is None or record.end.how != "finished":
        reasons.insert(0, ended_words(record))
    return RankResult(
        rank=record.rank,
        node=record.node,
        state=record.end.how if record.end else "silent",
        verdict=record.verdict,
        stage=record.stage.name,
        reasons=tuple(reasons),
    )


def _absent(rank: int, node: str) -> RankResult:
    return RankResult(rank, node, "missing", Verdict.INCONCLUSIVE, "", ("it wrote nothing",))


def _nodes(
    records: Sequence[Record], ranks: Sequence[RankResult], blame: Sequence[Blame]
) -> tuple[NodeResult, ...]:
    """Each node with what it is blamed for; a victim of another's fault is no fail."""
    by_node: dict[str, list[RankResult]] = {}
    for one in sorted(ranks, key=lambda one: one.rank):
        by_node.setdefault(one.node, []).append(one)
    laid: dict[str, list[Blame]] = {}
    for fault in blame:
        laid.setdefault(fault.node, []).append(fault)
    own = {one.rank: one.own_verdict for one in records}
    return tuple(_node(node, these, laid.get(node, []), own) for node, these in by_node.items())


def _node(
    node: str, ranks: Sequence[RankResult], laid: Sequence[Blame], own: Mapping[int, Verdict]
) -> NodeResult:
    reasons = [f"{one.fault}: {one.why}" for one in laid]
    if not laid:
        reasons = [f"rank {one.rank} {one.reasons[0]}" for one in ranks if one.reasons]
    verdicts = [own.get(one.rank, Verdict.INCONCLUSIVE) for one in ranks]
    worst = overall([*verdicts, *map(_fault_verdict, laid)])
    return NodeResult(node, tuple(one.rank for one in ranks), worst, tuple(reasons))


def _fault_verdict(blame: Blame) -> Verdict:
    """Of a rank that never spoke nothing is known, and one of two is not surely at fault."""
    if blame.fault is Fault.NOT_STARTED or not blame.sure:
        return Verdict.INCONCLUSIVE
    return Verdict.FAIL


def _why(verdict: Verdict, count: int, blame: Sequence[Blame], ranks: Sequence[RankResult]) -> str:
    if not any(one.state != "missing" for one in ranks):
        return "no process has written anything"
    if blame:
        first = blame[0]
        rest = f" (and {len(blame) - 1} more)" if len(blame) > 1 else ""
        maybe = "" if first.sure else "perhaps "
        return f"{maybe}{first.node} {first.fault}: {first.why}{rest}"
    if verdict is Verdict.PASS:
        nodes = len({one.node for one in ranks})
        return f"{count} processes on {nodes} node(s): every question is answered well"
    ended = next((one for one in ranks if one.reasons and one.verdict is verdict), None)
    words = f": rank {ended.rank} on {ended.node} {ended.reasons[0]}" if ended else ""
    return f"nobody in particular is to blame{words}"
