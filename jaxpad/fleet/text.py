"""A fleet in words: the sentences that the terminal and the page share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxpad.core.files import Metric, text
from jaxpad.core.hostlist import compress
from jaxpad.core.results import COUNT, STYLES, UsageError, Verdict
from jaxpad.core.text import brief_list, plural, quoted
from jaxpad.fleet.model import PEERS, Drift, Fleet, Node, Problem
from jaxpad.fleet.outliers import far
from jaxpad.report.terminal import Printer

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
    for problem in found.problems:
        if problem.check in (PEERS, COUNT):
            anchor = "fail" if problem.verdict is Verdict.FAIL else "inconclusive"
            yield Step(f"Look at {told(problem.nodes)}: {problem.reason}", anchor)
    if not found.nodes and not found.set_aside:
        yield Step("Give the folder that holds one folder a node: there is no report in this one")
    for problem in [one for one in found.shared if one.check != COUNT][:3]:
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


# The lines that take a node out of service: for an admin to read and paste, never run here.

SCHEDULERS = ("slurm", "kubernetes")


def line(node: Node, scheduler: str) -> str:
    """One line for a shell. Raises UsageError for another scheduler."""
    return shlex.join(argv(node, scheduler))


def argv(node: Node, scheduler: str) -> list[str]:
    """The command's words: `scontrol update …`, or `kubectl cordon …`."""
    if scheduler == "slurm":
        reason = f"Reason={plain_reason(node.drain)}"
        return ["scontrol", "update", f"NodeName={node.name}", "State=DRAIN", reason]
    if scheduler == "kubernetes":
        return ["kubectl", "cordon", node.name]
    raise UsageError(f"{scheduler!r} is no scheduler; give {' or '.join(SCHEDULERS)}")


def plain_reason(text: str) -> str:
    """A reason that Slurm keeps as it is: short, ASCII, no quotes, nothing a shell acts on.

    Whoever wrote the report wrote the reason, and it will be pasted.
    """
    kept = (letter if letter.isalnum() or letter in " .,:;/_%+()[]=-" else "_" for letter in text)
    ascii_only = "".join(kept).encode("ascii", "replace").decode()
    return brief_list(f"jaxpad: {ascii_only}", 200).encode("ascii", "replace").decode()


# A fleet in a terminal: what is wrong, the verdict, what to do next, the lines that drain.

MOST = 10  # of anything; the page has more, fleet.json all
MOST_LINES = 100


def summary(found: Fleet, console: Console, scheduler: str, folder: Path | None = None) -> None:
    """Print what an admin needs to know; `folder` is where the report lies."""
    printer = Printer(console)
    for problem in found.problems[:MOST]:
        _problem(printer, problem)
    _more(printer, len(found.problems), "problem")
    for aside in found.set_aside[:MOST]:
        printer.line(f"set aside: {quoted(aside.folder)}: {aside.why}", hang=2)
    _more(printer, len(found.set_aside), "folder set aside")
    _beside(printer, found)
    printer.line()
    printer.line(f"{headline(found)}.", f"bold {STYLES[found.verdict]}")
    if folder is not None:
        printer.line(f"Report: {folder / 'fleet.html'} (as data: fleet.json)")
    _next(printer, found, scheduler)


def _problem(printer: Printer, problem: Problem) -> None:
    whose = "the fleet's own" if problem.shared else told(problem.nodes, 60)
    printer.line(f"{problem.verdict}: {problem.check}", STYLES[problem.verdict])
    printer.line(f"on {on(problem)}: {whose}", indent=2, hang=2)
    for label, said in (("why", problem.reason), ("remedy", problem.remedy)):
        if said:
            printer.line(f"{label}: {said}", indent=2, hang=2)


def _beside(printer: Printer, found: Fleet) -> None:
    """Who is far from its peers, and what differs."""
    places = far(found.outliers)
    for each in places[:MOST]:
        style = STYLES[Verdict.INCONCLUSIVE] if each.slow else ""
        printer.line(f"{each.where} {each.words}", style, hang=2)
    _more(printer, len(places), "far from their peers")
    for drift in found.drift[:MOST]:
        printer.line(f"differs: {differs(drift)}", hang=2)
    _more(printer, len(found.drift), "difference")


def _more(printer: Printer, count: int, noun: str) -> None:
    if count > MOST:
        printer.line(f"and {count - MOST:,} more: {noun}")


def _next(printer: Printer, found: Fleet, scheduler: str) -> None:
    printer.line()
    printer.line("What to do next", "bold")
    for at, step in enumerate(steps(found), start=1):
        printer.line(f"{at}. {step.text}", indent=2, hang=3)
    if found.to_drain:
        printer.line()
        printer.line("To drain, each a line to paste; nothing was run", "bold")
    for node in found.to_drain[:MOST_LINES]:
        printer.command(line(node, scheduler), indent=2)
    if len(found.to_drain) > MOST_LINES:
        printer.line(f"and {len(found.to_drain) - MOST_LINES:,} more, in fleet.json: .drain[]")


# A fleet for Prometheus, by way of node_exporter's textfile collector.

WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)


def prometheus(found: Fleet, unix_s: float) -> str:
    """All metrics as text. Only nodes that are no pass have one of their own."""
    return text("jaxpad_fleet", _metrics(found, unix_s))


def _metrics(found: Fleet, unix_s: float) -> Iterator[Metric]:
    states = Counter(node.state for node in found.nodes)
    slow = {each.node for each in found.outliers if each.slow}
    code = float(found.verdict.exit_code)
    yield "exit_code", "0 pass or not applicable, 1 fail, 3 inconclusive", [({}, code)]
    yield "timestamp_seconds", "When the reports were merged, Unix time", [({}, round(unix_s, 3))]
    verdicts = [({"verdict": name}, float(count)) for name, count in found.counts.items()]
    yield "nodes", "Nodes by verdict", verdicts
    kinds = ("tested", "missing", "not tested", "set aside")
    yield "states", "Nodes by what came of them", [({"state": k}, float(states[k])) for k in kinds]
    yield "drain_nodes", "Nodes to drain", [({}, float(len(found.to_drain)))]
    yield "shared_failures", "Failures most nodes share", [({}, float(len(found.shared)))]
    yield "set_aside", "Folders nothing was taken from", [({}, float(len(found.set_aside)))]
    yield "slow_nodes", "Nodes with a GPU slower than its peers", [({}, float(len(slow)))]
    yield "drift", "Settings that differ between nodes", [({}, float(len(found.drift)))]
    for verdict in WRONG:
        names = [node.name for node in found.nodes if node.verdict is verdict]
        words = f"Nodes that are {verdict}" if verdict is not Verdict.FAIL else "Nodes that fail"
        named = [({"node": name}, 1.0) for name in names]
        yield f"node_{'failed' if verdict is Verdict.FAIL else verdict}", words, named
    yield "node_to_drain", "Nodes to drain", [({"node": n.name}, 1.0) for n in found.to_drain]
