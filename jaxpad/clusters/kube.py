"""Both stages, what a signal leaves of them, and the fleet they make."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jaxpad
from jaxpad import fleet, multi
from jaxpad.clusters import kube_manifests, stages
from jaxpad.clusters.kube_collect import absence, clear, land, name_of, standing
from jaxpad.clusters.kube_follow import (
    Ending,
    Kubectl,
    Refused,
    ask,
    follow,
    require as require,
)
from jaxpad.clusters.kube_logs import Lost, unpack
from jaxpad.clusters.kube_manifests import Manifest, Pods, nodes_job, resources, to_yaml
from jaxpad.clusters.request import Cluster, seconds
from jaxpad.clusters.stages import Second, Told, Whole
from jaxpad.core.lifeline import Interrupted, exit_code, hold, interruptible
from jaxpad.core.results import UsageError, Verdict
from jaxpad.multi import Expected, MultiReport

# A run on a cluster: what its pods do, and every manifest it needs.

_SMOKE, _MULTI = Path("/tmp/smoke-report"), Path("/tmp/multi-report")  # noqa: S108 - a pod's own
_NO_LIMIT_S = 24 * 3600  # for --time 0: nothing is waited for without end


@dataclass(frozen=True)
class Suite(stages.Suite):
    """What each node is asked; a profile is one of the image's."""

    thresholds: str | None = None  # the content of the caller's file


@dataclass(frozen=True)
class Plan:
    """A run. All that it makes carries its name, by which it is found and deleted."""

    name: str
    wanted: Cluster
    suite: Suite
    out: Path
    gpus: int  # of each node
    within: tuple[str, ...] = ()  # nodes to choose from; empty: any
    without: tuple[str, ...] = ()

    @property
    def kube(self) -> Kubectl:
        return Kubectl(self.wanted.namespace, self.wanted.extra)

    @property
    def count(self) -> int:
        """Nodes to test."""
        return self.wanted.nodes or len(self.within) or 1

    @property
    def nodes(self) -> Path:
        """One folder a node."""
        return self.out / "nodes"

    @property
    def logs(self) -> Path:
        return self.out / "logs"

    def node_pods(self) -> Pods:
        """The suite on each node by itself."""
        return self._pods("nodes", ["smoke", "--json", *self.suite.words(_SMOKE)])

    def multi_pods(self, nodes: Sequence[str]) -> Pods:
        """One process on each of these nodes; no name of a node stands for any."""
        count = len(nodes) or self.count
        profile = {"JAXPAD_PROFILE": self.suite.profile} if self.suite.profile else {}
        pods = self._pods("multi", ["multi", "--json", *self._multi_words(count)])
        return replace(pods, count=count, nodes=tuple(nodes) or pods.nodes, environ=profile)

    def first(self) -> list[Manifest]:
        """What the first stage needs."""
        return [kube_manifests.nodes_job(self.node_pods())]

    def second(self, nodes: Sequence[str] = ()) -> list[Manifest]:
        """What the second stage needs beside that."""
        pods = self.multi_pods(nodes)
        if self.wanted.jobset:
            return [kube_manifests.jobset_manifest(pods)]
        return [kube_manifests.service_manifest(pods), kube_manifests.multi_job(pods)]

    def _pods(self, stage: str, words: Sequence[str]) -> Pods:
        run_s = int(min(seconds(self.wanted.time), _NO_LIMIT_S))
        return Pods(
            run=self.name,
            stage=stage,
            count=self.count,
            image=self.wanted.image,
            command=("jaxpad", "pod", "--seconds", str(run_s), *self._bounds(), "--", *words),
            seconds=run_s,
            wait_s=int(self.wanted.wait_s),
            gpus=self.gpus,
            pull_secret=self.wanted.pull_secret,
            nodes=self.within,
            without=self.without,
        )

    def _multi_words(self, count: int) -> list[str]:
        words = ["--platform", self.suite.platform, "--limit", f"{self.suite.limit:g}"]
        words += ["--out", str(_MULTI)]
        words += ["--expect-processes", str(count), "--join", str(self._join_s)]
        words += ["--expect-devices", str(self.gpus)] if self.gpus else []
        return [*words, *(["--pairwise"] if self.wanted.pairwise else [])]

    @property
    def _join_s(self) -> int:
        """Pods do not start at once: a node may have the image still to unpack."""
        return max(60, min(180, int(self.wanted.wait_s)))

    def _bounds(self) -> list[str]:
        return ["--bounds", self.suite.thresholds] if self.suite.thresholds else []


def whole(plan: Plan) -> Whole:
    """Run both stages and delete all that they made.

    A signal ends them early, and what is known so far is the answer. Raises UsageError where
    the cluster takes no job from us at all.
    """
    for folder in (plan.nodes, plan.logs):
        folder.mkdir(parents=True, exist_ok=True)
    clear(plan.nodes)
    run, code = _Run(plan), 0
    with interruptible():
        try:
            run.go()
        except Interrupted as signal:
            code = exit_code(str(signal))
            run.stop(f"interrupted by {signal}")
        except Refused as error:
            run.stop(str(error))
        finally:
            hold()
            run.delete()
        return replace(run.answer(), signal_code=code)


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
        try:
            if log:
                (self._plan.logs / name).write_text(log, encoding="utf-8")
        except OSError as error:
            self._told.say(f"{self._plan.logs / name} cannot be written ({error.strerror})")

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
            self._plan.nodes,
            expected=tuple(self._verdicts),
            gpus=self._plan.gpus if (asked := self._plan.suite.expect) is None else asked,
            part=bool(self._plan.suite.select),
            not_tested=self._absent(),
        )
        return stages.whole(found, self._second, self._passed)


# What `--dry-run` prints: every manifest, with the command of each as a comment.


def dry_run(plan: Plan) -> str:
    """One YAML text for kubectl, which skips the comments. Nothing has been run."""
    return "".join(_parts(plan))


def _parts(plan: Plan) -> Iterator[str]:
    kube, pods = plan.kube, plan.node_pods()
    create, manifests = kube.create_argv(), plan.first()
    yield _remark("1. The suite on every node by itself", create)
    yield to_yaml(manifests)
    yield _remark("and until all pods have ended", kube.pods_argv(pods.run, pods.stage))
    yield _remark("then for each of them", kube.logs_argv("POD"))
    if plan.count > 1:
        yield _remark("2. One program of a process on each node that passed", create)
        yield to_yaml(plan.second())
        manifests = [*manifests, *plan.second()]
    yield _remark("in the end", kube.delete_argv(plan.name, resources(manifests)))


def _remark(what: str, argv: Sequence[str]) -> str:
    return f"# {what}:\n# {shlex.join(argv)}\n"


# The ready examples in configs/clusters/kubernetes: the same manifests, with usual numbers.

_REGISTRY = "registry.example.com/jaxpad"
_WEEKLY = "0 3 * * 0"  # Sundays at three
_SUITE = Suite(platform="gpu", limit=180.0)


def examples() -> dict[str, str]:
    """Each file's content, by its name."""
    return {
        "nodes.yaml": _file("The suite on two nodes of 8 GPUs, each by itself.", _plan().first()),
        "multi.yaml": _file("One JAX program of a process on each of two nodes.", _plan().second()),
        "jobset.yaml": _file("The same as multi.yaml, as a JobSet.", _plan(jobset=True).second()),
        "cronjob.yaml": _file("The suite on one node, every Sunday.", [cron_job()]),
        "role.yaml": _file("All rights that `jaxpad smoke --on kubernetes` needs.", [role()]),
    }


def _plan(nodes: int = 2, *, jobset: bool = False, name: str = "jaxpad-example") -> Plan:
    image = f"{_REGISTRY}:{jaxpad.__version__}-toolbox-cuda13"
    wanted = Cluster(nodes=nodes, gpus_per_node=8, image=image, jobset=jobset)
    return Plan(name, wanted, _SUITE, Path(), gpus=8)


def cron_job() -> Manifest:
    """A CronJob needs no kubectl: its jobs' exit codes say what was found."""
    [job] = [nodes_job(_plan(nodes=1, name="jaxpad-weekly").node_pods())]
    metadata = {"name": "jaxpad-weekly", "labels": {"app.kubernetes.io/name": "jaxpad"}}
    spec = {
        "schedule": _WEEKLY,
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"metadata": {"labels": job["metadata"]["labels"]}, "spec": _kept(job)},
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def _kept(job: Manifest) -> Manifest:
    """The CronJob itself keeps the last jobs, so that their logs can be read in the morning."""
    return {key: value for key, value in job["spec"].items() if key != "ttlSecondsAfterFinished"}


def role() -> Manifest:
    """For the person or CI that starts a run; the pods themselves have no rights at all."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "jaxpad-smoke"},
        "rules": [
            _rule("batch", ["jobs"], ["create", "list", "delete"]),
            _rule("", ["services"], ["create", "list", "delete"]),
            _rule("", ["pods"], ["get", "list"]),
            _rule("", ["pods/log"], ["get"]),
            _rule("", ["events"], ["list"]),
            _rule("jobset.x-k8s.io", ["jobsets"], ["create", "list", "delete"]),
        ],
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _file(what: str, manifests: list[Manifest]) -> str:
    return f"# {what}\n# Made by `invoke docs`; see docs/kubernetes.md.\n{to_yaml(manifests)}"
