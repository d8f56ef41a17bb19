"""Both stages, what a signal leaves of them, and the fleet they make."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from jaxpad import fleet, multi, stages
from jaxpad.errors import UsageError
from jaxpad.kubernetes._follow import follow
from jaxpad.kubernetes._jobs import resources
from jaxpad.kubernetes._judge import Ending
from jaxpad.kubernetes._kubectl import Refused, ask
from jaxpad.kubernetes._landing import absence, clear, land, name_of
from jaxpad.kubernetes._parcel import Lost, unpack
from jaxpad.kubernetes._plan import Plan
from jaxpad.kubernetes._pod import Manifest
from jaxpad.kubernetes._told import standing
from jaxpad.kubernetes._yaml import to_yaml
from jaxpad.multi import Expected, MultiReport
from jaxpad.runner._interrupt import Interrupted, hold, interruptible
from jaxpad.stages import Second, Told, Whole
from jaxpad.verdict import Verdict


def whole(plan: Plan) -> Whole:
    """Run both stages and delete all that they made.

    A signal ends them early, and what is known so far is the answer. Raises UsageError where
    the cluster takes no job from us at all.
    """
    for folder in (plan.nodes, plan.logs):
        folder.mkdir(parents=True, exist_ok=True)
    clear(plan.nodes)
    run = _Run(plan)
    with interruptible():
        try:
            run.go()
        except Interrupted as signal:
            run.stop(f"interrupted by {signal}")
        except Refused as error:
            run.stop(str(error))
        finally:
            hold()
            run.delete()
        return run.answer()


class _Run:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._told = Told(plan.count, standing)
        self._made: set[str] = set()  # kinds of objects
        self._verdicts: dict[str, Verdict] = {}
        self._not_tested: dict[str, str] = {}
        self._left = set(range(plan.count))
        self._ranks: dict[int, str] = {}  # the node of each process of the second stage
        self._spoken: dict[str, str] = {}  # what each process printed, by its node
        self._second: Second | None = None

    def go(self) -> None:
        """Each node by itself, then one run over all that passed."""
        pods = self._plan.node_pods()
        self._told.say(f"{pods.count} pod(s) with the smoke suite, one to a node: {pods.name}")
        try:
            self._create(self._plan.first())
        except Refused as error:
            self.delete(quiet=True)  # a part of it may have been taken
            raise UsageError(f"the cluster takes no job from jaxpad: {error}") from error
        follow(self._plan.kube, pods, self._ended, self._told.waiting)
        self.delete()
        if len(self._passed) < 2:
            self._told.say("no multi-process run: it takes two nodes that passed")
        else:
            self._together(self._passed)

    @property
    def _passed(self) -> tuple[str, ...]:
        return tuple(name for name, verdict in self._verdicts.items() if not verdict.exit_code)

    def _create(self, manifests: Sequence[Manifest]) -> None:
        self._made |= set(resources(manifests))
        ask(self._plan.kube.create_argv(), to_yaml(manifests))

    def _ended(self, index: int, ending: Ending, log: str) -> None:
        self._left.discard(index)
        landed = land(self._plan.nodes, index, ending, log)
        self._keep(f"{landed.name}.log", log)
        why = f": {landed.why}" if landed.why else ""
        if landed.verdict is None:
            self._not_tested[landed.name] = landed.why
            self._told.node(landed.name, f"not tested{why}")
        else:
            self._verdicts[landed.name] = landed.verdict
            self._told.node(landed.name, f"{landed.verdict}{why}")

    def _keep(self, name: str, log: str) -> None:
        if log:
            (self._plan.logs / name).write_text(log, encoding="utf-8")

    def _together(self, nodes: Sequence[str]) -> None:
        pods = self._plan.multi_pods(nodes)
        self._told.say(f"multi-process run: a process on each of {pods.count} nodes: {pods.name}")
        self._second = Second(None, "it has not ended")
        try:
            self._create(self._plan.second(nodes))
        except Refused as error:
            self._second = Second(None, f"the cluster takes no multi-process job: {error}")
            return
        self._ranks = {rank: f"pod-{rank}" for rank in range(pods.count)}
        follow(self._plan.kube, pods, self._spoke, self._told.waiting)
        self._second = Second(self._merged())

    def _spoke(self, rank: int, ending: Ending, log: str) -> None:
        """One process of the second stage has ended."""
        self._ranks[rank] = node = name_of(rank, ending)
        self._keep(f"multi-{rank}-{node}.log", log)
        try:
            self._spoken[node] = unpack(log)
        except Lost as lost:
            self._told.say(f"process {rank} on {node}: {absence(ending, log, str(lost))}")

    def _merged(self) -> MultiReport:
        """What the processes say, held to what was started."""
        suite, ranks = self._plan.suite, tuple(self._ranks.values())
        run, gpus = self._plan.name, self._plan.gpus or None
        expected = Expected(len(ranks), gpus, suite.platform, ranks, run)
        return multi.merge(multi.read_logs(self._spoken), expected)

    def stop(self, why: str) -> None:
        """What has no answer was not tested."""
        self._told.say(f"{why}: ending the run")
        self._not_tested |= {f"pod-{index}": why for index in sorted(self._left)}
        if self._second:
            self._second = Second(self._merged() if self._ranks else None, why)

    def delete(self, *, quiet: bool = False) -> None:
        """Delete all that the run has made; what may be left is said, with the command."""
        if not self._made:
            return
        argv = self._plan.kube.delete_argv(self._plan.name, sorted(self._made))
        self._made = set()
        try:
            ask(argv)
        except Refused as error:
            if not quiet:
                self._told.say(f"our objects may be left ({error}): {shlex.join(argv)}")

    def _absent(self) -> dict[str, str]:
        """The nodes that were not tested.

        A pod on no node stands for itself; where all nodes were named, for one that is left.
        """
        within = self._plan.within if self._plan.count == len(self._plan.within) else ()
        left = [n for n in within if n not in self._verdicts and n not in self._not_tested]
        nowhere = [name for name in self._not_tested if name not in within][: len(left)]
        instead = dict(zip(nowhere, left, strict=False))
        return {instead.get(name, name): why for name, why in self._not_tested.items()}

    def answer(self) -> Whole:
        """What is known by now, of both stages."""
        found = fleet.merge(
            self._plan.nodes, expected=tuple(self._verdicts), not_tested=self._absent()
        )
        if self._second and self._second.report:
            report = self._second.report
            (self._plan.out / "multi.json").write_text(json.dumps(report.to_json(), indent=1))
        return stages.whole(found, self._second, self._passed)
