"""The first stage: every node by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jaxpad.engines import _slurm as words
from jaxpad.slurm._call import Refused, ask
from jaxpad.slurm._follow import Ending, Patience, follow
from jaxpad.slurm._landed import absence, clear, landed, late
from jaxpad.slurm._nodes import Choice
from jaxpad.slurm._plan import Plan
from jaxpad.slurm._told import Told
from jaxpad.verdict import Verdict

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
