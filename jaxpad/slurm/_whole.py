"""Both stages, what a signal leaves of them, and the fleet they make."""

from __future__ import annotations

import json

from jaxpad import fleet, stages
from jaxpad.cluster import seconds
from jaxpad.engines import _slurm as words
from jaxpad.runner._interrupt import Interrupted, interruptible
from jaxpad.slurm._call import Refused, ask
from jaxpad.slurm._first import First, first
from jaxpad.slurm._follow import GRACE_S, Patience
from jaxpad.slurm._nodes import Choice, Node
from jaxpad.slurm._plan import Plan
from jaxpad.slurm._second import second
from jaxpad.slurm._told import Told, standing
from jaxpad.stages import Second, Whole


def whole(plan: Plan, choice: Choice) -> Whole:
    """Run both stages. A signal cancels our jobs, and what is known so far is the answer."""
    for folder in (plan.nodes, plan.log("").parent):
        folder.mkdir(parents=True, exist_ok=True)
    run = _Run(plan, choice)
    with interruptible():
        try:
            run.go()
        except Interrupted as signal:
            run.stop(str(signal))
        except BaseException:
            run.cancel()
            raise
        return run.answer()


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

    def answer(self) -> Whole:
        """What came of both, merged."""
        found = fleet.merge(
            self._plan.nodes, expected=self._choice.names, not_tested=self._found.not_tested
        )
        if self._second and self._second.report:
            report = self._second.report
            (self._plan.multi / "multi.json").write_text(json.dumps(report.to_json(), indent=2))
        return stages.whole(found, self._second, [node.name for node in self._together])
