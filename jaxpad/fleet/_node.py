"""One node's verdict, with the reasons in words, and whether it is to be drained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from jaxpad.fleet._digest import Digest, Wrong
from jaxpad.fleet._far import Far, far
from jaxpad.fleet._model import Node, Outlier, Problem
from jaxpad.fleet._names import brief
from jaxpad.fleet._problems import Key, key
from jaxpad.fleet._refused import Refused
from jaxpad.report._figures import plural
from jaxpad.verdict import Verdict

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
    return brief(_words(failed[0]), 160) + more


def _behind(found: Far) -> str:
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
    reason = f"not tested: {brief(why, 300)}"
    remedy = "test it when it is free"
    if known is None or known.state == "missing":
        return Node(name, "not tested", Verdict.INCONCLUSIVE, (reason,), (remedy,))
    verdict, reasons = _verdict(known.verdict, True), (reason, *known.reasons)
    remedies = (*known.remedies, remedy)
    return Node(name, known.state, verdict, reasons, remedies, known.drain)
