"""What is wrong, told once for all nodes that have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jaxpad.fleet._digest import Digest, Wrong
from jaxpad.fleet._model import Problem
from jaxpad.verdict import Verdict

Key = tuple[str, Verdict, str]


def key(wrong: Wrong) -> Key:
    """The same for the same thing wrong, whatever the numbers in its reason."""
    return (wrong.check, wrong.verdict, wrong.key)


def problems(digests: Iterable[Digest], share: float) -> dict[Key, Problem]:
    """Each check and reason with its nodes: the fleet's own first, then what fails, then size.

    A failure is shared by the fleet if at least two nodes have it, and more than `share` of
    those that answered the check.
    """
    digests = tuple(digests)
    answered = _answered(digests)
    found: dict[Key, tuple[Wrong, list[str]]] = {}
    for one in digests:
        for wrong in one.wrong:
            nodes = found.setdefault(key(wrong), (wrong, []))[1]
            if nodes[-1:] != [one.name]:
                nodes.append(one.name)
    told = {
        key: _problem(wrong, nodes, answered[wrong.check], share)
        for key, (wrong, nodes) in found.items()
    }
    return dict(sorted(told.items(), key=lambda pair: _rank(pair[1])))


def _answered(digests: Iterable[Digest]) -> Counter[str]:
    """On how many nodes each check was answered."""
    layouts = Counter(one.answered for one in digests)
    found: Counter[str] = Counter()
    for checks, count in layouts.items():
        for check in set(checks):
            found[check] += count
    return found


def _problem(wrong: Wrong, nodes: list[str], answered: int, share: float) -> Problem:
    many = len(nodes) > 1 and len(nodes) > share * answered
    return Problem(
        check=wrong.check,
        verdict=wrong.verdict,
        reason=wrong.reason,
        remedy=wrong.remedy,
        nodes=tuple(nodes),
        answered=answered,
        shared=wrong.verdict is Verdict.FAIL and many,
    )


def _rank(problem: Problem) -> tuple[bool, bool, int]:
    return (not problem.shared, problem.verdict is not Verdict.FAIL, -len(problem.nodes))
