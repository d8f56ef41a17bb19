"""Both stages, what a signal leaves of them, and the fleet they make."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jaxpad import fleet, multi
from jaxpad.clusters import slurm_commands as words, stages
from jaxpad.clusters.request import seconds
from jaxpad.clusters.slurm_commands import Refused, ask
from jaxpad.clusters.slurm_follow import (
    GRACE_S,
    Ending,
    Patience,
    Told,
    absence,
    clear,
    follow,
    landed,
    late,
    standing,
)
from jaxpad.clusters.slurm_plan import Choice, Node, Plan
from jaxpad.clusters.stages import Second, Whole as Whole
from jaxpad.core.lifeline import Interrupted, exit_code, interruptible
from jaxpad.core.results import Verdict
from jaxpad.multi import Expected, MultiReport

# The first stage: every node by itself.

_USUAL = ("COMPLETED", "FAILED", "COMPLETING", "ENDED")  # smoke exits with its verdict's code


@dataclass
class First:
    """What has come of the nodes so far; a signal leaves it as it is.

    A node whose job was ended early is in both: it has a report, and was not tested in full.
    """

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    not_tested: dict[str, str] = field(default_factory=dict)

    def left(self, choice: Choice) -> list[str]:
        """Nodes that nothing is known of yet."""
        return [n for n in choice.names if n not in self.verdicts and n not in self.not_tested]

    def passed(self) -> list[str]:
        well = [name for name, verdict in self.verdicts.items() if not verdict.exit_code]
        return [name for name in well if name not in self.not_tested]


def first(plan: Plan, choice: Choice, found: First, told: Told, patience: Patience) -> None:
    """Run the suite on every node at once, and fill in `found` as the reports land."""
    for name, why in choice.not_tested.items():
        _leave_out(name, why, found, told)
    clear(plan.nodes)
    jobs = _submitted(plan, choice, found, told)
    unreported: dict[str, Ending] = {}
    follow(plan.name, jobs, patience, _taker(plan, found, told, unreported), told.waiting)
    _wait_for_late(plan, found, told, unreported)


def _leave_out(name: str, why: str, found: First, told: Told) -> None:
    found.not_tested[name] = why
    told.node(name, f"not tested: {why}")


def _submitted(plan: Plan, choice: Choice, found: First, told: Told) -> dict[str, str]:
    """The id of each node's job. A job that Slurm refuses leaves its node untested."""
    jobs: dict[str, str] = {}
    for node in choice.tested:
        try:
            answer = ask(words.sbatch_argv(plan.node_job(node)))
            jobs[node.name] = answer.strip().partition(";")[0]
        except Refused as error:
            _leave_out(node.name, f"Slurm refuses its job: {error}", found, told)
    return jobs


def _taker(
    plan: Plan, found: First, told: Told, unreported: dict[str, Ending]
) -> Callable[[str, Ending], None]:
    def ended(name: str, ending: Ending) -> None:
        """Take the node's own report, or keep how it ended without one."""
        verdict = landed(plan.nodes / name)
        if verdict:
            _take(name, verdict, ending, found, told)
        elif ending.started:
            unreported[name] = ending
        else:
            _leave_out(name, f"busy: {ending.why}", found, told)

    return ended


def _take(name: str, verdict: Verdict, ending: Ending, found: First, told: Told) -> None:
    """A report that landed; one of a job that was ended early does not tell all."""
    found.verdicts[name] = verdict
    early = "" if ending.state in _USUAL else f"its job was ended early: {_state(ending)}"
    if early:
        found.not_tested[name] = early
    told.node(name, f"{verdict}{f' ({early})' if early else ''}")


def _wait_for_late(plan: Plan, found: First, told: Told, unreported: dict[str, Ending]) -> None:
    """Reports that a shared file system shows late; the others have a reason to be absent."""
    reports = late([plan.nodes / name for name in unreported])
    for name, ending in unreported.items():
        verdict = reports.get(plan.nodes / name)
        if verdict:
            _take(name, verdict, ending, found, told)
        else:
            why = absence(plan.nodes / name, plan.log(name), _state(ending))
            _leave_out(name, why, found, told)


def _state(ending: Ending) -> str:
    return ", ".join(filter(None, (ending.state, ending.why)))


# The second stage: processes on all nodes that passed, in one run.

_TAKEN_AWAY = ("CANCELLED", "PREEMPTED", "REVOKED")  # no fault of a process


def second(plan: Plan, nodes: Sequence[Node], told: Told, patience: Patience) -> Second:
    """Run it, and say what all processes say together."""
    _clear(plan.multi)
    tasks = plan.processes(nodes)
    told.say(f"multi-process run: {tasks} process(es) on each of {len(nodes)} node(s)")
    try:
        job = ask(words.sbatch_argv(plan.multi_job(nodes))).strip().partition(";")[0]
    except Refused as error:
        return Second(None, f"Slurm refuses the multi-process job: {error}")
    endings: list[Ending] = []

    def ended(_name: str, ending: Ending) -> None:
        endings.append(ending)

    follow(plan.name, {"multi": job}, patience, ended, told.waiting)
    if not endings[0].started:
        return Second(None, f"the multi-process job did not start: {endings[0].why}")
    if endings[0].state in _TAKEN_AWAY:
        return Second(None, f"the multi-process job was ended by others: {endings[0].state}")
    return Second(merged(plan, nodes), _unusual(endings[0]))


def merged(plan: Plan, nodes: Sequence[Node]) -> MultiReport:
    """What the processes wrote, held to what was started."""
    ranks, gpus = plan.ranks(nodes), plan.gpus(nodes)
    devices = gpus // plan.processes(nodes) if gpus else None
    return multi.merge(plan.multi, Expected(len(ranks), devices, plan.suite.platform, ranks))


def _unusual(ending: Ending) -> str:
    return "" if ending.state in ("COMPLETED", "FAILED") else f"its job: {ending.state}"


def _clear(folder: Path) -> None:
    """Take away the ranks of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("rank-*.json"):
        with contextlib.suppress(OSError):
            file.unlink()


def whole(plan: Plan, choice: Choice) -> Whole:
    """Run both stages. A signal cancels our jobs, and what is known so far is the answer."""
    for folder in (plan.nodes, plan.log("").parent):
        folder.mkdir(parents=True, exist_ok=True)
    run, code = _Run(plan, choice), 0
    with interruptible():
        try:
            run.go()
        except Interrupted as signal:
            code = exit_code(str(signal))
            run.stop(str(signal))
        except BaseException:
            run.cancel()
            raise
        return replace(run.answer(), signal_code=code)


class _Run:
    def __init__(self, plan: Plan, choice: Choice) -> None:
        self._plan = plan
        self._choice = choice
        self._found = First()
        self._told = Told(len(choice.names), standing)
        self._patience = Patience(plan.wanted.wait_s, seconds(plan.wanted.time) + GRACE_S)
        self._together: tuple[Node, ...] = ()
        self._second: Second | None = None

    def go(self) -> None:
        """The suite on every node, then one run over those that passed."""
        first(self._plan, self._choice, self._found, self._told, self._patience)
        passed = set(self._found.passed())
        nodes = tuple(node for node in self._choice.tested if node.name in passed)
        if not nodes or len(nodes) * self._plan.processes(nodes) < 2:
            self._told.say("no multi-process run: it takes two processes on nodes that passed")
            return
        self._together = nodes
        try:
            self._second = second(self._plan, nodes, self._told, self._patience)
        except Exception as error:  # a bug of ours costs no report of a node
            self.cancel()
            self._second = Second(None, f"{type(error).__name__}: {error}")

    def stop(self, signal: str) -> None:
        """Cancel; what has no answer was not tested."""
        self._told.say(f"{signal}: cancelling our jobs")
        self.cancel()
        for name in self._found.left(self._choice):
            self._found.not_tested[name] = f"interrupted by {signal}"
        if self._together:  # what we have ended ourselves is no node's fault
            self._second = Second(None, f"interrupted by {signal}")

    def cancel(self) -> None:
        try:
            ask(words.scancel_argv(self._plan.name))
        except Refused as error:
            self._told.say(f"could not cancel our jobs ({error}); scancel --name={self._plan.name}")

    def _gpus(self) -> int | None:
        """How many each node should have, as far as that is known."""
        if self._plan.suite.expect is not None:
            return self._plan.suite.expect
        return self._plan.gpus(self._choice.tested) if self._choice.tested else None

    def answer(self) -> Whole:
        """What came of both, merged."""
        found = fleet.merge(
            self._plan.nodes,
            expected=self._choice.names,
            gpus=self._gpus(),
            part=bool(self._plan.suite.select),
            not_tested=self._found.not_tested,
        )
        return stages.whole(found, self._second, [node.name for node in self._together])
