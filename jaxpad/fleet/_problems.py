"""What is wrong, told once for all nodes that have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import replace

from jaxpad.fleet._digest import Digest, Wrong
from jaxpad.fleet._model import Fleet, Problem
from jaxpad.verdict import Verdict

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
    return dict(sorted(told.items(), key=lambda pair: _rank(pair[1])))


def also(found: Fleet, problem: Problem) -> Fleet:
    """The fleet with a problem that no node's own report tells, in its place among the others."""
    return replace(found, problems=tuple(sorted((*found.problems, problem), key=_rank)))


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
        shared=wrong.verdict is Verdict.FAIL and many,
    )


def _among(mine: Set[tuple[str, ...]], kinds: Counter[tuple[str, ...]]) -> int:
    """How many nodes have those GPU models; all, where a node has none that the driver lists.

    A node whose driver is dead lists no GPU, and is not of a kind of its own for that. Nor
    does it count who passed: a check may apply only where it fails.
    """
    return kinds.total() if () in mine else sum(kinds[models] for models in mine)


def _rank(problem: Problem) -> tuple[bool, bool, int]:
    return (not problem.shared, problem.verdict is not Verdict.FAIL, -len(problem.nodes))
