"""Who is to blame: the cause of a failure, not those it kept from their end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from jaxpad.multi._compare import differences
from jaxpad.multi._expected import Expected
from jaxpad.multi._record import SHARED, Check, Record, Stage
from jaxpad.multi._report import Blame, Fault
from jaxpad.multi._summary import ended_words
from jaxpad.verdict import Verdict

_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "permute")
_SHARED_FAULTS = {
    "device kind": Fault.DIFFERS,
    "clock": Fault.DIFFERS,
    "start": Fault.HUNG,
    "in step": Fault.SLOW,
    "pairs": Fault.SLOW,
}

Found = tuple[int, Fault, str, bool]  # rank, fault, why, sure


def blame(
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
