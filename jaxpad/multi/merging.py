"""One report from what all processes say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from jaxpad.core.results import Verdict, overall
from jaxpad.multi.comparison import differences, places
from jaxpad.multi.record import (
    SHARED,
    Aside,
    Check,
    Expected,
    Gathered,
    Pair,
    Rate,
    Record,
    Stage,
    read,
)
from jaxpad.multi.report import Blame, Fault, MultiReport, NodeResult, RankResult, ended_words

# Who is to blame: the cause of a failure, not those it kept from their end.

_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "permute")
_SHARED_FAULTS = {
    "device kind": Fault.DIFFERS,
    "clock": Fault.DIFFERS,
    "start": Fault.HUNG,
    "in step": Fault.SLOW,
    "pairs": Fault.SLOW,
}

Found = tuple[int, Fault, str, bool]  # rank, fault, why, sure


def blamed(
    records: Sequence[Record], absent: Mapping[int, str], expected: Expected
) -> tuple[Blame, ...]:
    """What ended the run first, then what differs, is wrong or slow."""
    nodes = {one.rank: one.node for one in records} | dict(absent)
    found = [
        *ended(records, absent),
        *_differing(records),
        *_own(records, expected),
        *_shared(records, nodes),
    ]
    return _by_node(found, nodes)


def ended(records: Sequence[Record], absent: Mapping[int, str]) -> list[Found]:
    """The ranks that kept the run from its end: the first of these that there are.

    Died or fell silent; ended with an error of their own, furthest behind; never spoke;
    furthest behind of all that did not finish; came last to where all are.
    """
    open_ = [one for one in records if one.end is None or one.end.how != "finished"]
    died = [one for one in open_ if one.end is None or _own_end(one, "died")]
    if died:
        return _found(died, Fault.DIED)
    raised = [one for one in open_ if _own_end(one, "raised")]
    if raised:
        return _found(_behind(raised), Fault.RAISED)
    if absent:
        return [(rank, Fault.NOT_STARTED, "it wrote nothing", True) for rank in absent]
    return _stuck(open_, records)


def _own_end(one: Record, how: str) -> bool:
    return one.end is not None and one.end.how == how and not one.end.for_a_peer


def _found(records: Iterable[Record], fault: Fault) -> list[Found]:
    return [(one.rank, fault, ended_words(one), True) for one in records]


def _behind(records: Sequence[Record]) -> list[Record]:
    least = min((one.stage.step for one in records), default=0)
    return [one for one in records if one.stage.step == least]


def _stuck(open_: Sequence[Record], records: Sequence[Record]) -> list[Found]:
    behind = _behind(open_)
    if behind and _reaching(behind[0].stage):
        return _unreached(behind, records)
    if len(behind) < len(records):
        return _found(behind, Fault.HUNG)
    return _found(_after(behind), Fault.HUNG)


def _reaching(stage: Stage) -> bool:
    return stage.name == "join" and not stage.together


def _unreached(behind: Sequence[Record], records: Sequence[Record]) -> list[Found]:
    """Those who do not reach the coordinator; the coordinator where most do not."""
    late = _after(behind)
    if late:
        return _found(late, Fault.HUNG)
    first = next((one for one in records if one.rank == 0), None)
    others = [one for one in records if one.rank]
    if first is not None and len(behind) * 2 > len(others):
        why = f"{len(behind)} of {len(others)} processes do not reach it"
        return [(0, Fault.UNREACHED, why, len(others) > 1)]
    return _found(behind, Fault.UNREACHED)


def _after(behind: Sequence[Record]) -> list[Record]:
    """Those who came to where all are when another had already given up."""
    ends = [one.end.at for one in behind if one.end]
    late = [one for one in behind if ends and one.stage.since >= min(ends)]
    return late if len(late) < len(behind) else []


def all_hang(records: Sequence[Record], absent: Mapping[int, str]) -> str:
    """In words, if all processes were stopped in one and the same step; else empty."""
    stuck = [one for one in records if one.end and one.end.how != "finished"]
    alike = len(stuck) == len(records) and len({one.stage.step for one in stuck}) == 1
    stopped = any(one.end and one.end.how == "stopped" for one in stuck)
    if not (stuck and alike and stopped) or ended(records, absent):
        return ""
    stage = stuck[0].stage
    return f"all processes hang together in stage {stage.name} ({stage.detail})"


def _differing(records: Sequence[Record]) -> list[Found]:
    """From what each says of itself, so that it is known even if they never met."""
    nodes = {one.rank: one.node for one in records}
    identities = {one.rank: one.identity for one in records}
    found = [odd for odd in differences(identities, nodes).values() if odd]
    return [(rank, Fault.DIFFERS, odd.words, odd.sure) for odd in found for rank in odd.ranks]


def _own(records: Sequence[Record], expected: Expected) -> list[Found]:
    """Checks that only the process itself can fail."""
    found = []
    for one in records:
        for check in one.checks:
            if check.verdict is Verdict.FAIL and check.name not in SHARED:
                fault = Fault.WRONG if check.name in _COLLECTIVES else Fault.FAILED
                found.append((one.rank, fault, f"{check.name}: {check.reason}", True))
        found += [(one.rank, Fault.FAILED, words, True) for words in _unexpected(one, expected)]
    return found


def _unexpected(one: Record, expected: Expected) -> list[str]:
    """What the caller of `merge` knows better than the process."""
    found = []
    if expected.platform and one.platform and one.platform != expected.platform:
        found.append(f"platform: JAX computes on the {one.platform}, not the {expected.platform}")
    devices = one.local_devices
    if expected.devices and devices is not None and devices != expected.devices:
        found.append(f"local devices: {devices}, expected {expected.devices}")
    return [words for words in found if words.partition(":")[0] not in _failed(one)]


def _failed(one: Record) -> set[str]:
    return {check.name for check in one.checks if check.verdict is Verdict.FAIL}


def _shared(records: Sequence[Record], nodes: Mapping[int, str]) -> list[Found]:
    """What the processes say of each other: of each question, the answer of most."""
    found = []
    for name, fault in _SHARED_FAULTS.items():
        failed = [check for one in records for check in one.checks if check.name == name]
        said: Counter[Check] = Counter(c for c in failed if c.verdict is Verdict.FAIL)
        if said:
            check = said.most_common(1)[0][0]
            known = [rank for rank in check.odd if rank in nodes]
            found += [(rank, fault, check.reason, check.sure) for rank in known]
    return found


def _by_node(found: Iterable[Found], nodes: Mapping[int, str]) -> tuple[Blame, ...]:
    """One entry for the ranks of a node that are blamed for the same."""
    groups: dict[tuple[str, Fault, str, bool], list[int]] = {}
    for rank, fault, why, sure in found:
        groups.setdefault((nodes[rank], fault, why, sure), []).append(rank)
    return tuple(
        Blame(node, tuple(sorted(ranks)), fault, why, sure)
        for (node, fault, why, sure), ranks in groups.items()
    )


# Ranks that wrote nothing, and the nodes they should be on.

UNKNOWN = "a node that is not known"


def missing(gathered: Gathered, expected: Expected, count: int) -> dict[int, str]:
    """Node by rank, for each rank under `count` that has no record."""
    spoken = {one.rank for one in gathered.records}
    absent = [rank for rank in range(min(count, 1_000_000)) if rank not in spoken]
    listed = expected.nodes or _by_rank(gathered.records, count)
    return {rank: listed[rank] if rank < len(listed) else UNKNOWN for rank in absent}


def _by_rank(records: Sequence[Record], count: int) -> tuple[str, ...]:
    """The node of each rank if they were dealt in blocks, as Slurm does unless told otherwise.

    Only where that holds for all who spoke.
    """
    nodes = next((one.nodes for one in records if one.nodes), ())
    if not nodes or count % len(nodes):
        return _alone(records, nodes, count)
    each = count // len(nodes)
    dealt = tuple(node for node in nodes for _ in range(each))
    fits = all(one.rank < count and dealt[one.rank] == one.node for one in records)
    return dealt if fits else _alone(records, nodes, count)


def _alone(records: Sequence[Record], nodes: Sequence[str], count: int) -> tuple[str, ...]:
    """The one node from which nobody spoke, if there is one, for all who are missing."""
    spoken = Counter(one.node for one in records)
    silent = [node for node in nodes if node not in spoken]
    return tuple(silent * count) if len(silent) == 1 else ()


# Checks, rates and pairs of many records as one list.


def join_checks(records: Sequence[Record]) -> tuple[Check, ...]:
    """Each question once: the worst answer, and where it was given."""
    by_name: dict[str, list[tuple[int, Check]]] = {}
    for one in records:
        for check in one.checks:
            by_name.setdefault(check.name, []).append((one.rank, check))
    nodes = {one.rank: one.node for one in records}
    return tuple(_worst(answers, nodes) for answers in by_name.values())


def _worst(answers: Sequence[tuple[int, Check]], nodes: dict[int, str]) -> Check:
    worst = overall(check.verdict for _, check in answers)
    ranks = [rank for rank, check in answers if check.verdict is worst]
    check = next(check for _, check in answers if check.verdict is worst)
    bad = worst in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    if not bad or check.name in SHARED:
        return check
    return replace(check, reason=f"on {places(ranks, nodes)}: {check.reason}")


def rates_of(records: Sequence[Record]) -> tuple[Rate, ...]:
    """Of each collective and size the least that a process reports."""
    found: dict[tuple[str, int], Rate] = {}
    for rate in (rate for one in records for rate in one.rates):
        key = (rate.kind, rate.bytes)
        if key not in found or rate.gb_per_s < found[key].gb_per_s:
            found[key] = rate
    return tuple(found.values())


def pairs_of(records: Sequence[Record]) -> tuple[Pair, ...]:
    """Of each pair of nodes the least rate that a process reports."""
    found: dict[tuple[str, ...], Pair] = {}
    for pair in (pair for one in records for pair in one.pairs):
        if pair.nodes not in found or pair.gb_per_s < found[pair.nodes].gb_per_s:
            found[pair.nodes] = pair
    return tuple(found.values())


_ANY = Expected()


def merge(given: Gathered | Sequence[Record] | Path, expected: Expected = _ANY) -> MultiReport:
    """The verdict on a run, and who is to blame: its cause, not its victims."""
    gathered = _sifted(_gathered(given), expected)
    records = gathered.records
    count = expected.processes or max((one.processes for one in records), default=0)
    absent = missing(gathered, expected, count)
    blame = blamed(records, absent, expected)
    ranks = [*map(_rank, records), *(_absent(rank, node) for rank, node in absent.items())]
    nodes = _nodes(records, ranks, blame)
    hung = all_hang(records, absent)
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
        checks=join_checks(records),
        rates=rates_of(records),
        pairs=pairs_of(records),
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
    if record.silent:
        reasons.insert(0, "came to its end and answered no question")
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
    return f"no single cause identified{words}"
