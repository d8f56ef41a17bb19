"""From a folder of reports to a fleet."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import jaxpad
from jaxpad.core import bounds as all_bounds
from jaxpad.core.bounds import Bounds
from jaxpad.core.results import Verdict, overall
from jaxpad.core.text import brief_list, hold, plural, valid_node_name
from jaxpad.fleet.digest import Digest, Wrong
from jaxpad.fleet.gathering import Gathered, gather
from jaxpad.fleet.model import PEERS, Fleet, Node, Outlier, Problem, SetAside
from jaxpad.fleet.outliers import OutlierGroup, compared, drift, far, lay
from jaxpad.fleet.untrusted import Refused

# Whether a report is of the whole node, and of now: by a given number, else by the others.

OLD_DAYS, APART_DAYS = 365, 30  # of a report's age, and behind the newest of the fleet
_WHOLE = "run the whole smoke suite on it again, now; a node without all its GPUs needs repair"


def census(digests: Sequence[Digest], gpus: int | None) -> tuple[Digest, ...]:
    """The digests, each with what it lacks beside the others, or of `gpus` GPUs, as wrong."""
    now = datetime.datetime.now(datetime.UTC)
    usual = _Usual(
        gpus=_most([one.gpus for one in digests]),
        checks=_most([one.checks for one in digests]),
        models=_majority([one.models for one in digests if one.models]),
        oldest=_oldest(digests, now),
        newest=now + datetime.timedelta(days=1),
    )
    return tuple(_beside(one, usual, gpus) for one in digests)


@dataclass(frozen=True)
class _Usual:
    """What most nodes have, and the times between which a report is of now."""

    gpus: int
    checks: int
    models: tuple[str, ...]  # empty: no model is that of more than half
    oldest: datetime.datetime
    newest: datetime.datetime


def _most(counts: Sequence[int]) -> int:
    """The most common; of two as common the larger."""
    found = Counter(counts)
    return max(found, key=lambda count: (found[count], count), default=0)


def _majority(models: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    (first, count), *_ = Counter(models).most_common(1) or [((), 0)]
    return first if count > len(models) / 2 else ()


def _time(one: Digest) -> datetime.datetime | None:
    if not one.started:
        return None
    found = datetime.datetime.fromisoformat(one.started)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _oldest(digests: Sequence[Digest], now: datetime.datetime) -> datetime.datetime:
    times = [time for one in digests if (time := _time(one)) and time <= now]
    least = now - datetime.timedelta(days=OLD_DAYS)
    apart = datetime.timedelta(days=APART_DAYS)
    return max([least, max(times) - apart] if times and max(times) > least else [least])


def _beside(one: Digest, usual: _Usual, gpus: int | None) -> Digest:
    few = gpus is not None and one.gpus < gpus
    words = [f"{one.gpus} of {gpus} GPUs"] if few else []
    words += [f"two GPUs with the bus id {one.twice}"] if one.twice else []
    verdict = Verdict.FAIL if words else Verdict.INCONCLUSIVE
    words += _doubts(one, usual, gpus)
    if not words:
        return one
    reason = "; ".join(words)
    wrong = Wrong(PEERS, verdict, reason, _WHOLE, reason)
    return replace(one, wrong=(*one.wrong, wrong), verdict=overall([one.verdict, verdict]))


def _doubts(one: Digest, usual: _Usual, gpus: int | None) -> list[str]:
    """What may be meant, and is no evidence that the node is whole."""
    time, found = _time(one), list[str]()
    if gpus is None and not one.gpus:
        found.append("a report without a GPU: only the CPU was tested")
    elif gpus is None and one.gpus < usual.gpus:
        found.append(f"{one.gpus} GPUs where most nodes have {usual.gpus}")
    if one.models and usual.models and one.models != usual.models:
        found.append(f"{', '.join(one.models)} where most have {', '.join(usual.models)}")
    if one.selected or 2 * one.checks < usual.checks:
        found.append(f"only some checks were run ({one.checks})")
    if time and not usual.oldest <= time <= usual.newest:
        found.append(f"a report of {one.started[:10]}, which is not of now")
    return found


# What is wrong, told once for all nodes that have it.

Key = tuple[str, Verdict, str]


def key(wrong: Wrong) -> Key:
    """The same for the same thing wrong, whatever the numbers in its reason."""
    return (wrong.check, wrong.verdict, wrong.key)


def problems(digests: Iterable[Digest], share: float) -> dict[Key, Problem]:
    """Each check and reason with its nodes: the fleet's own first, then what fails, then size.

    A failure is shared by the fleet if at least two nodes have it, and more than `share` of
    the nodes of their kind.
    """
    digests = tuple(digests)
    kinds = Counter(one.models for one in digests)
    found: dict[Key, tuple[Wrong, list[Digest]]] = {}
    for one in digests:
        for wrong in one.wrong:
            nodes = found.setdefault(key(wrong), (wrong, []))[1]
            if nodes[-1:] != [one]:
                nodes.append(one)
    told = {key: _problem(*pair, kinds, share) for key, pair in found.items()}
    return dict(sorted(told.items(), key=lambda pair: _problem_rank(pair[1])))


def also(found: Fleet, problem: Problem) -> Fleet:
    """The fleet with a problem that no node's own report tells, in its place among the others."""
    return replace(found, problems=tuple(sorted((*found.problems, problem), key=_problem_rank)))


def _problem(
    wrong: Wrong, nodes: list[Digest], kinds: Counter[tuple[str, ...]], share: float
) -> Problem:
    among = _among({one.models for one in nodes}, kinds)
    many = len(nodes) > 1 and len(nodes) > share * among
    return Problem(
        check=wrong.check,
        verdict=wrong.verdict,
        reason=wrong.reason,
        remedy=wrong.remedy,
        nodes=tuple(one.name for one in nodes),
        among=among,
        shared=wrong.verdict is Verdict.FAIL and many and wrong.check != PEERS,
    )


def _among(mine: Set[tuple[str, ...]], kinds: Counter[tuple[str, ...]]) -> int:
    """How many nodes have those GPU models; all, where a node has none that the driver lists.

    A node whose driver is dead lists no GPU, and is not of a kind of its own for that. Nor
    does it count who passed: a check may apply only where it fails.
    """
    return kinds.total() if () in mine else sum(kinds[models] for models in mine)


def _problem_rank(problem: Problem) -> tuple[bool, bool, int]:
    return (not problem.shared, problem.verdict is not Verdict.FAIL, -len(problem.nodes))


# One node's verdict, with the reasons in words, and whether it is to be drained.

MOST_TOLD = 20  # reasons of one node; its own report has all
SLOW = "run the smoke suite on it again, alone; if it stays slow, drain it"


def tested(one: Digest, told: Mapping[Key, Problem], slow: Sequence[Outlier]) -> Node:
    """A node by its report; `slow` has its rates that are below their peers'.

    A rate that holds to its gate and not to its peers is no fail, and no pass either.
    """
    own = [wrong for wrong in one.wrong if not told[key(wrong)].shared]
    shared = [wrong for wrong in one.wrong if told[key(wrong)].shared]
    reasons = [*map(_words, own), *(_behind(each) for each in far(slow)), *map(_shared, shared)]
    remedies = [wrong.remedy for wrong in (*own, *shared)] + [SLOW] * bool(slow)
    if one.verdict is Verdict.INCONCLUSIVE and not reasons:
        reasons = ["no check was run"]
    return Node(
        name=one.name,
        state="tested",
        verdict=_verdict(one.verdict, bool(slow)),
        reasons=_first(reasons),
        remedies=_first(filter(None, dict.fromkeys(remedies))),
        drain=_drain([wrong for wrong in own if wrong.verdict is Verdict.FAIL]),
    )


def _verdict(found: Verdict, doubtful: bool) -> Verdict:
    return Verdict.INCONCLUSIVE if doubtful and found is not Verdict.FAIL else found


def _words(wrong: Wrong) -> str:
    return f"{wrong.check}: {wrong.reason or 'no reason given'}"


def _shared(wrong: Wrong) -> str:
    return f"{_words(wrong)} (so do most nodes)"


def _first(texts: Iterable[str]) -> tuple[str, ...]:
    found = tuple(texts)
    more = (f"and {len(found) - MOST_TOLD} more",) if len(found) > MOST_TOLD else ()
    return found[:MOST_TOLD] + more


def _drain(failed: Sequence[Wrong]) -> str:
    if not failed:
        return ""
    more = f" (and {plural(len(failed) - 1, 'other check')})" if failed[1:] else ""
    return brief_list(_words(failed[0]), 160) + more


def _behind(found: OutlierGroup) -> str:
    return f"{found.place or 'the node'} {found.words}"


def set_aside(name: str, why: Refused) -> Node:
    """A node whose report was not trusted."""
    reason = f"its report was set aside: {why.why}"
    return Node(name, "set aside", Verdict.INCONCLUSIVE, (reason,), (why.remedy,))


def missing(name: str, why: str) -> Node:
    """A node of which there is no report."""
    remedy = "see whether the node is up, and run the smoke suite on it"
    return Node(name, "missing", Verdict.INCONCLUSIVE, (why,), (remedy,))


def absent(name: str, why: str, known: Node | None) -> Node:
    """A node that could not be tested; what a report of it says all the same is kept."""
    reason = f"not tested: {brief_list(why, 300)}"
    remedy = "test it when it is free"
    if known is None or known.state == "missing":
        return Node(name, "not tested", Verdict.INCONCLUSIVE, (reason,), (remedy,))
    verdict, reasons = _verdict(known.verdict, True), (reason, *known.reasons)
    remedies = (*known.remedies, remedy)
    return Node(name, known.state, verdict, reasons, remedies, known.drain)


NOBODY: Mapping[str, str] = MappingProxyType({})
RULES = (
    "outlier_deviations_least",
    "outlier_distance_least",
    "outlier_other_least",
    "outlier_peers_least",
    "shared_failure_least",
)


def merge(
    folder: Path,
    *,
    expected: Sequence[str] = (),
    not_tested: Mapping[str, str] = NOBODY,
    gpus: int | None = None,
    part: bool = False,
    bounds: Bounds | None = None,
) -> Fleet:
    """The fleet whose reports lie in `folder`, one folder a node, named for it.

    `expected`: nodes that should be there; one without a report is inconclusive.
    `gpus`: how many each node should have; fewer fail. None: as most nodes have.
    `part`: the nodes were asked for a selection of checks, and not for the whole suite.
    `not_tested`: nodes that could not be tested, each with the reason.

    Raises UsageError for a folder that cannot be read and for a name that no node can have.
    Whatever the reports hold is told, and raises nothing.
    """
    wanted, reasons = hold(expected), dict(zip(hold(not_tested), not_tested.values(), strict=True))
    limits = bounds or all_bounds.load()
    found = _held(gather(folder), gpus, part=part)
    told = problems(found.digests, limits["shared_failure_least"].value)
    columns = [compared(numbers, limits) for numbers in lay(found.digests)]
    outliers = tuple(sorted((one for _, outside in columns for one in outside), key=_node_rank))
    oldest, newest = _span(found.digests)
    return Fleet(
        jaxpad=jaxpad.__version__,
        folder=brief_list(str(folder), 300),
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        oldest=oldest,
        newest=newest,
        nodes=_nodes(found, told, outliers, wanted, reasons),
        set_aside=_set_aside(found),
        problems=tuple(told.values()),
        outliers=outliers,
        drift=drift(found.digests),
        distributions=tuple(spread for spread, _ in columns if spread),
        unexpected=_unexpected(found.digests, wanted),
        rules=tuple(_rule(limits, name) for name in RULES),
    )


def _held(found: Gathered, gpus: int | None, *, part: bool) -> Gathered:
    """What was gathered, each node held to its peers; a selection that was asked for is none."""
    digests = [replace(one, selected=one.selected and not part) for one in found.digests]
    return replace(found, digests=list(census(digests, gpus)))


def _span(digests: Iterable[Digest]) -> tuple[str, str]:
    """When the oldest and the newest report began; empty where none says so."""
    started = sorted(one.started for one in digests if one.started)
    return (started[0], started[-1]) if started else ("", "")


def _set_aside(found: Gathered) -> tuple[SetAside, ...]:
    return tuple(
        SetAside(brief_list(name, 120), why.why, why.remedy)
        for name, why in sorted(found.set_aside.items())
    )


def _rule(limits: Bounds, name: str) -> str:
    bound = limits[name]
    return f"{name} = {bound.value:g} {bound.unit} ({bound.origin})"


def _node_rank(outlier: Outlier) -> tuple[bool, float]:
    """Slow GPUs first, the farthest first."""
    return (not outlier.slow, -abs(outlier.distance))


def _unexpected(digests: Iterable[Digest], wanted: Sequence[str]) -> tuple[str, ...]:
    names = {one.name for one in digests} - set(wanted)
    return tuple(sorted(names, key=natural)) if wanted else ()


def _nodes(
    found: Gathered,
    told: Mapping[Key, Problem],
    outliers: Iterable[Outlier],
    wanted: Iterable[str],
    reasons: Mapping[str, str],
) -> tuple[Node, ...]:
    slow: dict[str, list[Outlier]] = {}
    for each in outliers:
        if each.slow:
            slow.setdefault(each.node, []).append(each)
    nodes = {one.name: tested(one, told, slow.get(one.name, ())) for one in found.digests}
    aside = ((name, why) for name, why in found.set_aside.items() if valid_node_name(name))
    nodes |= {name: set_aside(name, why) for name, why in aside}
    nodes |= {name: missing(name, "its folder holds no smoke.json") for name in found.empty}
    nodes = {name: missing(name, "no report of it came") for name in wanted} | nodes
    nodes |= {name: absent(name, why, nodes.get(name)) for name, why in reasons.items()}
    return tuple(nodes[name] for name in sorted(nodes, key=natural))


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """n2 before n10."""
    return tuple(_parts(name))


def _parts(name: str) -> Iterator[tuple[str, int]]:
    for text, digits in re.findall(r"(\D*)(\d*)", name):
        yield text, int(digits or -1)
