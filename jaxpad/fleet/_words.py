"""A fleet in words: the sentences that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from jaxpad.fleet._model import Drift, Fleet, Problem
from jaxpad.hostlist import compress
from jaxpad.report._figures import plural
from jaxpad.verdict import Verdict

KEEP = "Nothing to drain. Keep fleet.json to compare with after the next change of driver or image"


def headline(found: Fleet) -> str:
    """The verdict in one sentence without its full stop."""
    count, failed = len(found.nodes), found.counts[Verdict.FAIL]
    if failed:
        drained = len(found.to_drain)
        drain = f"{drained:,} to drain" if drained else "none to drain"
        return f"Fail: {failed:,} of {_nodes(count)} failed, {drain}"
    if not count:
        return "Inconclusive: there is no report"
    if found.verdict is Verdict.FAIL:
        return f"Fail: {_together(found)} failed on {_nodes(count)}"
    if found.verdict is Verdict.INCONCLUSIVE:
        return f"Inconclusive: {_open(found)}"
    if found.verdict is Verdict.NOT_APPLICABLE:
        return f"Not applicable: no check applies on {_nodes(count)}"
    drift = f", though {plural(len(found.drift), 'setting')} differ" if found.drift else ""
    return f"Pass: {'all ' if count > 1 else ''}{_nodes(count)}{drift}"


def _nodes(count: int) -> str:
    return f"{count:,} node" if count == 1 else f"{count:,} nodes"


def _open(found: Fleet) -> str:
    count = found.counts[Verdict.INCONCLUSIVE]
    if count:
        return f"{count:,} of {_nodes(len(found.nodes))} could not be judged"
    if not found.set_aside:
        return f"{_together(found)} on {_nodes(len(found.nodes))} could not be judged"
    return f"{plural(len(found.set_aside), 'folder')} had to be set aside"


def _together(found: Fleet) -> str:
    """The check that the verdict is for, where it is no node's own."""
    return next(each.check for each in found.problems if each.verdict is found.verdict)


@dataclass(frozen=True)
class Step:
    """Something to do next, and the part of the page that has more on it."""

    text: str
    anchor: str = ""


def steps(found: Fleet) -> tuple[Step, ...]:
    """What an admin should do now, the first thing first; never empty."""
    return tuple(_steps(found)) or (Step(KEEP),)


def _steps(found: Fleet) -> Iterator[Step]:
    for problem in found.shared[:3]:
        remedy = problem.remedy or problem.reason or "see the report of any of them"
        most = f"Mend what most nodes fail alike, {problem.check} on {_share(problem)}"
        yield Step(f"{most}: {remedy}", "shared")
    if found.to_drain:
        yield Step(f"Drain {_nodes(len(found.to_drain))}, after a look at the reasons", "drain")
    for problem in _undrained(found):
        yield Step(
            f"{problem.check} on {told(problem.nodes)}: {problem.remedy or problem.reason}", "fail"
        )
    slow = {each.node for each in found.outliers if each.slow}
    if slow:
        yield Step(f"Test again, alone, what is slower than its peers: {_named(slow)}", "outliers")
    for state, (words, anchor) in _STATES.items():
        names = [node.name for node in found.nodes if node.state == state]
        if names:
            yield Step(f"{words}: {_named(names)}", anchor)
    if any(problem.verdict is Verdict.INCONCLUSIVE for problem in found.problems):
        again = "See why checks could not be answered, and run the smoke suite there again"
        yield Step(again, "inconclusive")


def _undrained(found: Fleet) -> list[Problem]:
    """What fails on single nodes, some of which are fit to go on by their own reports."""
    drained = {node.name for node in found.to_drain}
    own = (each for each in found.problems if each.verdict is Verdict.FAIL and not each.shared)
    return [problem for problem in own if not drained.issuperset(problem.nodes)]


_STATES = {
    "missing": ("Find out why there is no report", "untested"),
    "not tested": ("Test what could not be tested", "untested"),
    "set aside": ("Run the smoke suite again where the report was set aside", "set-aside"),
}


def _named(names: Collection[str]) -> str:
    return f"{_nodes(len(names))}, {told(names)}"


def _share(problem: Problem) -> str:
    return f"{len(problem.nodes):,} of {_nodes(problem.among)}"


def on(problem: Problem) -> str:
    """On how many of the nodes that have such GPUs a problem shows."""
    return f"{_share(problem)} of that kind"


def told(names: Iterable[str], most: int = 120) -> str:
    """Nodes as Slurm writes them, cut at a comma where that is long."""
    text = compress(names)
    if len(text) <= most:
        return text
    return f"{text[:most].rpartition(',')[0] or text[:most]}, … (all of them: fleet.json)"


def differs(drift: Drift) -> str:
    """`driver: 570.86.15 on 98 nodes; 570.124.06 on n3,n7`."""
    others = "; ".join(f"{each.value} on {told(each.nodes)}" for each in drift.others[:5])
    more = f"; and {len(drift.others) - 5} other values" if drift.others[5:] else ""
    return f"{drift.name}: {drift.majority} on {_nodes(drift.count)}; {others}{more}"
