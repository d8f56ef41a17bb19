"""`smoke --on kubernetes` from end to end, over a kubectl that plays a cluster."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import fake_kubectl
import fleet_nodes
import programs
from helpers import HOME, environ
from jaxpad import multi
from jaxpad.cli import smoke as cli_smoke
from jaxpad.clusters import kube_follow
from jaxpad.clusters.kube_logs import pack
from jaxpad.clusters.request import Cluster
from jaxpad.core import bounds
from jaxpad.core.bounds import Bound
from jaxpad.core.results import Report, UsageError, Verdict
from jaxpad.multi import MARK, End, Identity, Record
from jaxpad.multi.record import SCHEMA_VERSION, dump
from jaxpad.report import to_json
from jaxpad.smoke.local import Options

IMAGE = "registry.example.com/jaxpad:1"
FORBIDDEN = (
    'Error from server (Forbidden): error when creating "STDIN": jobs.batch is forbidden: User '
    '"ci" cannot create resource "jobs" in API group "batch" in the namespace "ml"'
)
NO_SERVER = (
    'error: error validating "STDIN": error validating data: failed to download openapi: Get '
    '"http://localhost:8080/openapi/v2?timeout=30s": dial tcp 127.0.0.1:8080: connect: connection '
    "refused; if you choose to ignore these errors, turn validation off with --validate=false"
)
State = dict[str, Any]


def pending(why: str = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.") -> State:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {"phase": "Pending", "conditions": [condition | {"message": why}]}


def starting(node: str) -> State:
    return {"phase": "Pending", "node": node, "waiting": {"reason": "ContainerCreating"}}


def running(node: str) -> State:
    return {"phase": "Running", "node": node, "running": {}}


def ended(node: str, code: int = 0, reason: str = "") -> State:
    ending = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
    return {"phase": "Failed" if code else "Succeeded", "node": node, "terminated": ending}


def life(node: str, code: int = 0) -> list[State]:
    """A pod's usual states, one for each look."""
    return [pending(), starting(node), running(node), ended(node, code)]


@dataclass
class Cluster_:  # noqa: N801 - not the options of that name
    """What the fake kubectl is to play, and what it was told."""

    folder: Path
    scenario: dict[str, Any] = field(default_factory=lambda: {"stages": {"nodes": [], "multi": []}})

    def pod(self, states: Sequence[State | None], log: str = "", stage: str = "nodes") -> None:
        pods = self.scenario["stages"][stage]
        if log:
            (self.folder / "logs" / f"{stage}-{len(pods)}.log").write_text(log)
        pods.append(list(states))

    def node(self, name: str, report: Report | None = None, *, at_once: bool = False) -> None:
        """A node that is tested and says what is in its report."""
        found = report or fleet_nodes.cpu(name)
        states = life(name, found.verdict.exit_code)
        self.pod(states[-1:] if at_once else states, log_of(found))

    def process(self, name: str, record: Record, code: int = 0) -> None:
        """A process of the second stage."""
        self.pod(
            life(name, code)[-2:], packed(f"{MARK}{dump(record, schema=SCHEMA_VERSION)}\n"), "multi"
        )

    def start(self) -> None:
        for counter in (*self.folder.glob("asked-*"), *self.folder.glob("creates")):
            counter.unlink()
        (self.folder / "scenario.json").write_text(json.dumps(self.scenario))

    @property
    def calls(self) -> list[list[str]]:
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        return [next(w for w in call if not w.startswith("-")) for call in self.calls]

    def created(self, number: int) -> list[dict[str, Any]]:
        return list(yaml.safe_load_all((self.folder / f"created-{number}.yaml").read_text()))


def packed(text: str) -> str:
    """As `kubectl logs` has it: others' words between ours."""
    lines = ["jaxpad: no GPU here: this host shows none", *pack(text), "[12/12] done"]
    return "".join(f"{line}\n" for line in lines)


def log_of(report: Report) -> str:
    return packed(json.dumps(to_json(report)))


def process(rank: int, node: str, of: int = 2) -> Record:
    """A process with nothing to complain of."""
    return Record(
        rank=rank,
        processes=of,
        node=node,
        pid=1,
        launcher="kubernetes",
        began=1.0,
        run="jaxpad-0a1b2c3d",
        arrived=2.0,
        identity=Identity({"jax": "0.10.2", "jaxlib": "0.10.2"}, None, ""),
        platform="cpu",
        kind="cpu",
        local_devices=1,
        devices=of,
        checks=(multi.Check("collectives", Verdict.PASS, ""),),
        end=End("finished", "", 9.0),
    )


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster_:
    folder = tmp_path / "fake"
    (folder / "logs").mkdir(parents=True)
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    script = f'#!/bin/sh\nexec {shlex.join([sys.executable, "-IS", fake_kubectl.__file__])} "$@"\n'
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_KUBECTL", str(folder))
    monkeypatch.setattr(kube_follow, "PAUSE_S", 0.01)
    monkeypatch.setattr(kube_follow, "_AGAIN_S", 0.01)
    monkeypatch.setattr(secrets, "token_hex", lambda _: "0a1b2c3d")
    monkeypatch.chdir(tmp_path)
    return Cluster_(folder)


@dataclass(frozen=True)
class Ran:
    code: int
    said: str
    out: Path

    @property
    def fleet(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.out / "fleet.json").read_text())
        return found

    @property
    def reasons(self) -> Mapping[str, str]:
        return {node["name"]: "; ".join(node["reasons"]) for node in self.fleet["nodes"]}

    @property
    def verdicts(self) -> Mapping[str, str]:
        return {node["name"]: node["verdict"] for node in self.fleet["nodes"]}


Run = Callable[..., Ran]


@pytest.fixture
def run(cluster: Cluster_, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def go(options: Options | None = None, **wanted: Any) -> Ran:
        cluster.start()
        suite = options or Options(out=tmp_path / "out")
        count = len(cluster.scenario["stages"]["nodes"])
        usual: dict[str, Any] = {"nodes": count, "gpus_per_node": 0, "image": IMAGE}
        code = cli_smoke.smoke_kubernetes(suite, Cluster(**(usual | wanted)))
        ran = Ran(code, capsys.readouterr().err, tmp_path / "out")
        assert ran.fleet["exit_code"] == code or code > 128  # a signal ended it
        return ran

    return go


def test_two_nodes_that_pass(cluster: Cluster_, run: Run) -> None:
    for rank, name in enumerate(("gpu-a", "gpu-b")):
        cluster.node(name)
        cluster.process(name, process(rank, name))
    ran = run(namespace="ml", extra=("--context=lab",))
    assert ran.code == 0, ran.said
    assert ran.verdicts == {"gpu-a": "pass", "gpu-b": "pass"}
    assert json.loads((ran.out / "multi.json").read_text())["verdict"] == "pass"
    assert "[2/2] gpu-b: pass" in ran.said
    assert (ran.out / "nodes" / "gpu-a" / "smoke.json").is_file()
    assert {call[0] for call in cluster.calls} == {"--context=lab"}
    assert {call[1] for call in cluster.calls} == {"--namespace=ml"}


def test_stages_and_their_end(cluster: Cluster_, run: Run) -> None:
    """Both are made, the second on the nodes that passed, and both are deleted."""
    for rank, name in enumerate(("gpu-a", "gpu-b")):
        cluster.node(name)
        cluster.process(name, process(rank, name))
    cluster.node("gpu-c", fleet_nodes.report("gpu-c", 2, fleet_nodes.fails()))
    run()
    [first], [service, second] = cluster.created(0), cluster.created(1)
    assert (first["spec"]["completions"], second["spec"]["completions"]) == (3, 2)
    assert str(second["spec"]["template"]).count("metadata.name") == 2
    assert service["kind"] == "Service"
    assert [verb for verb in cluster.verbs if verb in ("create", "delete")] == [
        "create",
        "delete",
    ] * 2
    assert cluster.calls[-1][-4:-2] == [
        "jobs.batch,services",
        "--selector=jaxpad.io/run=jaxpad-0a1b2c3d",
    ]


def test_node_that_fails(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a")
    cluster.node("gpu-b", fleet_nodes.report("gpu-b", 2, fleet_nodes.fails()))
    ran = run()
    assert ran.code == 1
    assert ran.verdicts == {"gpu-a": "pass", "gpu-b": "fail"}
    [drain] = ran.fleet["drain"]
    assert drain["kubernetes"] == "kubectl cordon gpu-b"
    assert "no multi-process run" in ran.said


def test_pod_that_stays_pending(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a", at_once=True)
    cluster.pod([pending()])
    ran = run(wait_s=0.2)
    assert ran.code == 3
    assert "Unschedulable: 0/3 nodes are available: 3 Insufficient" in ran.reasons["pod-1"]
    assert ran.verdicts["gpu-a"] == "pass"


def test_pod_that_was_never_made(cluster: Cluster_, run: Run) -> None:
    quota = 'pods "jaxpad-1" is forbidden: exceeded quota: gpus'
    cluster.scenario["events"] = [
        {"type": "Warning", "reason": "FailedCreate", "message": quota, "lastTimestamp": "2026"},
        {
            "type": "Normal",
            "reason": "SuccessfulCreate",
            "message": "made",
            "lastTimestamp": "2027",
        },
    ]
    cluster.node("gpu-a", at_once=True)
    cluster.pod([None])
    ran = run(wait_s=0.2)
    assert ran.code == 3
    assert "no pod was made for it" in ran.reasons["pod-1"]
    assert "exceeded quota: gpus" in ran.reasons["pod-1"]


def test_image_that_cannot_be_pulled(
    cluster: Cluster_, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not waited for as long as a busy node is."""
    monkeypatch.setattr(kube_follow, "NO_IMAGE_S", 0.2)
    message = 'Back-off pulling image "registry.example.com/jaxpad:1": 401 Unauthorized'
    waiting = {"reason": "ImagePullBackOff", "message": message}
    cluster.pod([{"phase": "Pending", "node": "gpu-a", "waiting": waiting}])
    ran = run()
    assert ran.code == 3
    assert "ImagePullBackOff: Back-off pulling image" in ran.reasons["gpu-a"]


def test_pod_that_is_evicted(cluster: Cluster_, run: Run) -> None:
    message = "The node was low on resource: ephemeral-storage."
    evicted = {"phase": "Failed", "node": "gpu-b", "reason": "Evicted", "message": message}
    cluster.node("gpu-a")
    cluster.pod([running("gpu-b"), evicted])
    ran = run()
    assert ran.code == 3
    assert f"Evicted: {message}" in ran.reasons["gpu-b"]
    assert "its log cannot be read" in ran.reasons["gpu-b"]


def test_pod_that_runs_out_of_memory(cluster: Cluster_, run: Run) -> None:
    cluster.pod([running("gpu-a"), ended("gpu-a", 137, "OOMKilled")], "starting\n[3/12] jit\n")
    ran = run()
    assert ran.code == 3
    assert "exit code 137, OOMKilled" in ran.reasons["gpu-a"]
    assert "the last line of its log is: [3/12] jit" in ran.reasons["gpu-a"]


def test_pod_that_is_deleted(cluster: Cluster_, run: Run) -> None:
    cluster.pod([running("gpu-a"), None])
    ran = run()
    assert ran.code == 3
    assert "its pod was deleted, and not by jaxpad" in ran.reasons["gpu-a"]


def test_pod_that_never_ends(cluster: Cluster_, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_follow, "SLACK_S", 0)
    cluster.pod([running("gpu-a")])
    ran = run(time="0:1")
    assert ran.code == 3
    assert "still running" in ran.reasons["gpu-a"]


def test_log_that_is_cut(cluster: Cluster_, run: Run) -> None:
    lines = log_of(fleet_nodes.report("gpu-a", 8)).splitlines(keepends=True)
    assert len(lines) > 5
    cluster.pod(life("gpu-a"), "".join(lines[:3] + lines[4:]))
    ran = run()
    assert ran.code == 3
    assert "its log has been cut: line 3 of" in ran.reasons["gpu-a"]
    assert (ran.out / "logs" / "gpu-a.log").is_file()


def test_report_that_is_hostile(cluster: Cluster_, run: Run) -> None:
    cluster.pod(life("gpu-a"), packed('{"verdict": "pass", "schema": 99}'))
    ran = run()
    assert ran.code == 3
    assert "set aside" in ran.reasons["gpu-a"]


def test_name_that_is_hostile(cluster: Cluster_, run: Run) -> None:
    """No folder is made of it, and it is printed quoted."""
    cluster.pod(life("../../x; reboot"), log_of(fleet_nodes.cpu("x")))
    ran = run()
    assert ran.code == 3
    assert "calls itself '../../x; reboot'" in ran.reasons["pod-0"]
    assert not list(ran.out.parent.glob("x*"))


def test_node_that_was_tested_already(cluster: Cluster_, run: Run) -> None:
    """The scheduler sends a pod that waited to a node whose own pod has ended."""
    cluster.node("gpu-a")
    cluster.pod([*[pending()] * 4, running("gpu-a"), ended("gpu-a")], log_of(fleet_nodes.cpu("x")))
    ran = run()
    assert ran.code == 3
    assert "no other node was free: it ran on gpu-a again" in ran.reasons["pod-1"]


def test_report_of_an_earlier_run(cluster: Cluster_, run: Run, tmp_path: Path) -> None:
    cluster.node("gpu-a")
    old = tmp_path / "out" / "nodes" / "gpu-z"
    old.mkdir(parents=True)
    (old / "smoke.json").write_text("{}")
    assert run().verdicts == {"gpu-a": "pass"}


def test_nodes_by_name(cluster: Cluster_, run: Run) -> None:
    """So one that got no pod can be named."""
    cluster.node("gpu-0", at_once=True)
    cluster.node("gpu-2", at_once=True)
    cluster.pod([pending("gpu-3 is cordoned")])
    cluster.process("gpu-0", process(0, "gpu-0"))
    cluster.process("gpu-2", process(1, "gpu-2"))
    ran = run(nodelist="gpu-[0-3]", exclude="gpu-1", nodes=None, wait_s=0.2)
    assert ran.code == 3
    assert "gpu-3 is cordoned" in ran.reasons["gpu-3"]
    [job] = cluster.created(0)
    assert job["spec"]["completions"] == 3
    assert "gpu-1" not in str(job)


def test_no_right(cluster: Cluster_, run: Run) -> None:
    cluster.pod([None])
    cluster.scenario["refuse"] = {"create": FORBIDDEN}
    with pytest.raises(UsageError, match=r"cannot create resource .* ask for that right"):
        run()
    assert cluster.verbs[-1] == "delete"  # a part of it may have been taken


def test_no_right_in_the_middle(cluster: Cluster_, run: Run) -> None:
    """Services may not be made: the nodes have been tested all the same."""
    for name in ("gpu-a", "gpu-b"):
        cluster.node(name)
    cluster.scenario |= {"refuse_create_at": 1, "because": FORBIDDEN.replace("jobs", "services")}
    ran = run()
    assert ran.code == 3
    assert ran.verdicts == {"gpu-a": "pass", "gpu-b": "pass"}
    assert "the cluster takes no multi-process job" in ran.said


def test_no_right_to_the_logs(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a")
    forbidden = 'Error from server (Forbidden): pods "x" is forbidden: cannot get "pods/log"'
    cluster.scenario["refuse"] = {"logs": forbidden}
    ran = run()
    assert ran.code == 3
    assert 'cannot get "pods/log"; ask for that right' in ran.reasons["gpu-a"]


def test_no_right_to_list_pods(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a")
    cluster.scenario["refuse"] = {"get": "Error from server (Forbidden): pods is forbidden"}
    ran = run()
    assert ran.code == 3
    assert "pods is forbidden; ask for that right" in ran.reasons["pod-0"]
    assert cluster.verbs[-1] == "delete"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("The connection to the server localhost:8080 was refused", "kubectl cluster-info"),
        (NO_SERVER, "connection refused; see `kubectl cluster-info`"),
        ("error: You must be logged in to the server (Unauthorized)", "log in again"),
        ('error: context "lab" does not exist', "does not exist"),
        (
            'error: no matches for kind "JobSet" in version "jobset.x-k8s.io/v1alpha2"',
            "leave out --jobset",
        ),
        ('strict decoding error: unknown field "spec.backoffLimitPerIndex"', "Kubernetes 1.29"),
        ("", "gave no reason"),
    ],
)
def test_refusals(cluster: Cluster_, run: Run, words: str, sentence: str) -> None:
    cluster.pod([None])
    cluster.scenario["refuse"] = {"create": words or "\n"}
    with pytest.raises(UsageError, match=sentence):
        run()


def test_server_that_is_silent_for_a_while(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a")
    cluster.scenario["silent_at"] = [1, 2]
    assert run().code == 0


def test_server_that_falls_silent(
    cluster: Cluster_, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_follow, "UNREACHABLE_S", 0.2)
    cluster.node("gpu-a")
    cluster.pod([running("gpu-b")])
    cluster.scenario["silent_at"] = list(range(4, 1000))
    ran = run()
    assert ran.code == 3
    assert ran.verdicts == {"gpu-a": "pass", "pod-1": "inconclusive"}
    assert "i/o timeout" in ran.reasons["pod-1"]
    assert cluster.verbs[-1] == "delete"


def test_interrupted(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a")
    cluster.pod([running("gpu-b")])
    cluster.scenario["signal_at_nodes"] = 5
    ran = run()
    assert ran.code == 130
    assert ran.verdicts == {"gpu-a": "pass", "pod-1": "inconclusive"}
    assert "interrupted by SIGINT" in ran.reasons["pod-1"]
    assert cluster.verbs[-1] == "delete"


def test_interrupted_in_the_second_stage(cluster: Cluster_, run: Run) -> None:
    for rank, name in enumerate(("gpu-a", "gpu-b")):
        cluster.node(name)
        cluster.process(name, process(rank, name))
    cluster.scenario["signal_at_multi"] = 1
    ran = run()
    assert ran.code == 130
    assert "multi-process run: interrupted by SIGINT" in ran.said
    assert cluster.verbs[-1] == "delete"


def test_objects_that_are_left(cluster: Cluster_, run: Run) -> None:
    cluster.node("gpu-a")
    cluster.scenario["refuse"] = {
        "delete": "Error from server (Forbidden): jobs.batch is forbidden"
    }
    ran = run()
    assert ran.code == 0
    assert "our objects may be left" in ran.said
    assert "delete jobs.batch --selector=jaxpad.io/run=jaxpad-0a1b2c3d" in ran.said


def test_process_that_dies(cluster: Cluster_, run: Run) -> None:
    """Its node passed alone, and is named for what it did in company."""
    for rank, name in enumerate(("gpu-a", "gpu-b")):
        cluster.node(name)
        record = process(rank, name)
        if rank:
            record = replace(record, end=End("died", "signal 11 (SIGSEGV)", 5.0))
        cluster.process(name, record, code=rank)
    ran = run()
    assert ran.code == 1
    assert "multi-process run: died" in ran.reasons["gpu-b"]


def test_process_that_never_starts(cluster: Cluster_, run: Run) -> None:
    for name in ("gpu-a", "gpu-b"):
        cluster.node(name, at_once=True)
        cluster.pod([pending("0/3 nodes are available")], stage="multi")
    ran = run(wait_s=0.2)
    assert ran.code == 3
    assert "0/3 nodes are available" in ran.said


def test_jobset(cluster: Cluster_, run: Run) -> None:
    for rank, name in enumerate(("gpu-a", "gpu-b")):
        cluster.node(name)
        cluster.process(name, process(rank, name))
    assert run(jobset=True).code == 0
    assert [one["kind"] for one in cluster.created(1)] == ["JobSet"]
    assert "jobsets.jobset.x-k8s.io" in cluster.calls[-1][-4]


def given_bounds(options: Options, gpus: int) -> Mapping[str, Bound]:
    """The bounds that a pod would hold its node to."""
    plan = cli_smoke.planned_kubernetes(options, Cluster(image=IMAGE, gpus_per_node=gpus))
    words = plan.node_pods().command
    text = words[words.index("--bounds") + 1] if "--bounds" in words else ""
    file = options.out / "bounds.toml"
    file.write_text(text)
    return bounds.load(file)


def test_bounds_go_along(tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text("temperature_margin_least = 4\n")
    options = Options(out=tmp_path, thresholds=file)
    for gpus in (0, 8):
        assert given_bounds(options, gpus)["temperature_margin_least"].value == 4


def test_no_bounds_of_ours_go_along(tmp_path: Path) -> None:
    """A report shows each bound that was changed, as the caller's."""
    assert given_bounds(Options(out=tmp_path), 8) == bounds.load()


def test_json_is_the_fleet(
    cluster: Cluster_, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.node("gpu-a")
    cluster.start()
    options = Options(out=tmp_path / "out", as_json=True)
    cli_smoke.smoke_kubernetes(options, Cluster(nodes=1, gpus_per_node=0, image=IMAGE))
    assert json.loads(capsys.readouterr().out)["verdict"] == "pass"


def test_dry_run_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And needs no kubectl; all of it is YAML, the commands are comments."""
    monkeypatch.setenv("PATH", str(tmp_path))
    options = Options(out=tmp_path / "out", dry_run=True)
    wanted = Cluster(nodes=2, gpus_per_node=8, image=IMAGE, namespace="ml")
    assert cli_smoke.smoke_kubernetes(options, wanted) == 0
    text = capsys.readouterr().out
    assert [one["kind"] for one in yaml.safe_load_all(text)] == ["Job", "Service", "Job"]
    assert "# kubectl --namespace=ml --request-timeout=30s create --filename=-\n" in text
    assert not (tmp_path / "out").exists()


def test_no_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wanted = Cluster(nodes=2, gpus_per_node=8, image=IMAGE)
    with pytest.raises(UsageError, match="kubectl is not on PATH; install it"):
        cli_smoke.smoke_kubernetes(Options(out=tmp_path / "out"), wanted)


@pytest.mark.parametrize(
    ("wanted", "options", "sentence"),
    [
        ({"image": ""}, {}, "needs --image"),
        ({"image": "jaxpad.sif"}, {}, "no reference that a node can pull"),
        ({"gpus_per_node": None}, {}, "needs --gpus-per-node"),
        ({"gpus_per_node": 0}, {"platform": "gpu"}, "leave out --gpus-per-node 0"),
        ({"partition": "main"}, {}, "--partition is for slurm"),
        ({"runtime": "pyxis"}, {}, "--runtime is for slurm"),
        ({"nodelist": "n[0-2]", "nodes": 4}, {}, "has 3 node.s. to choose from, 4 asked for"),
        ({"nodelist": "n[0-"}, {}, "a bracket is not closed"),
        ({"exclude": "A_b"}, {}, "A_b"),
        ({"namespace": "Bad_Name"}, {}, "--namespace Bad_Name is no name"),
        ({"pull_secret": "a;b"}, {}, "--pull-secret 'a;b' is no name"),
        ({}, {"profile": "mine.toml"}, "build the image again"),
        ({}, {"profile": "nosuch"}, "nosuch"),
        ({}, {"limit": 0.0}, "--limit 0 is not a time"),
        ({}, {"select": "no_such_check"}, "no_such_check"),
    ],
)
def test_usage(wanted: dict[str, Any], options: dict[str, Any], sentence: str) -> None:
    usual: dict[str, Any] = {"nodes": 2, "gpus_per_node": 8, "image": IMAGE}
    with pytest.raises(UsageError, match=sentence):
        cli_smoke.planned_kubernetes(Options(**options), Cluster(**(usual | wanted)))


@pytest.mark.parametrize(
    ("gpus", "requested", "platform"),
    [(8, "auto", "gpu"), (0, "auto", "cpu"), (None, "cpu", "cpu"), (8, "cpu", "cpu")],
)
def test_platform(gpus: int | None, requested: str, platform: str) -> None:
    wanted = Cluster(image=IMAGE, gpus_per_node=gpus)
    assert (
        cli_smoke.planned_kubernetes(Options(platform=requested), wanted).suite.platform == platform
    )


def test_calls_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_follow, "_LIMIT_S", 0.1)
    with pytest.raises(kube_follow.Refused, match="gave no answer"):
        kube_follow.ask(["sleep", "5"])


KUBE = kube_follow.Kubectl("ml", ("--server=http://127.0.0.1:1",))


@pytest.fixture(scope="module")
def kubectl() -> str:
    """A real one: on PATH there may be a client that does not run, or another's program."""
    found = programs.find("kubectl", "version", "--client", says="Client Version")
    if not found:
        pytest.skip(found.said)
    print(found.said)  # noqa: T201 - told where a test fails
    return found.path


@pytest.mark.parametrize(
    "argv",
    [
        KUBE.create_argv(),
        KUBE.pods_argv("run", "nodes"),
        KUBE.logs_argv("pod"),
        KUBE.events_argv("job"),
        KUBE.delete_argv("run", ["jobs.batch", "services"]),
    ],
    ids=lambda argv: argv[4],
)
def test_real_kubectl_knows_the_options(kubectl: str, argv: list[str]) -> None:
    """It comes as far as looking for a server, which is not there."""
    given = (HOME / "configs/clusters/kubernetes/multi.yaml").read_text()
    done = subprocess.run(
        [kubectl, *argv[1:]],
        input=given,
        capture_output=True,
        text=True,
        env=os.environ | {"KUBECONFIG": ""},
    )
    assert isinstance(kube_follow.refusal(done.stderr), kube_follow.Unreachable), done.stderr


def kubelet(container: Mapping[str, Any], out: Path, **told: str) -> Callable[[], tuple[int, str]]:
    """Start a container's command here; the call gives its exit code and its log."""
    argv = [sys.executable, "-m", *container["args"]]
    argv[argv.index("--out") + 1] = str(out)
    env = {one["name"]: one["value"] for one in container["env"] if "value" in one} | told
    child = subprocess.Popen(
        argv, env=environ(**env), cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

    def end() -> tuple[int, str]:
        said, _ = child.communicate(timeout=120)
        return child.returncode, said.decode()

    return end


def container_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    [found] = manifest["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_pod_for_real(cluster: Cluster_, run: Run, tmp_path: Path) -> None:
    """The command of the manifest, run here, fills the log that the fake kubectl gives."""
    options = Options(out=tmp_path / "out", select="starts")
    cluster.pod([ended("gpu-a")])
    run(options)
    [job] = cluster.created(0)
    code, log = kubelet(container_of(job), tmp_path / "inside", JAXPAD_NODE="gpu-a")()
    (cluster.folder / "logs" / "nodes-0.log").write_text(log)
    ran = run(options)
    assert ran.code == code == 0, ran.said
    assert ran.verdicts == {"gpu-a": "pass"}
    assert json.loads((ran.out / "nodes" / "gpu-a" / "smoke.json").read_text())["node"] == "gpu-a"


def test_two_processes_for_real(cluster: Cluster_, run: Run, tmp_path: Path) -> None:
    """As the manifest has them, but for the coordinator's name, which is this machine's here."""
    nodes = ("gpu-a", "gpu-b")
    for name in nodes:
        cluster.node(name, at_once=True)
        cluster.pod([ended(name)], stage="multi")
    run()
    container = container_of(cluster.created(1)[1])
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "127.0.0.1:{1}".format(*free.getsockname())
    started = [
        kubelet(
            container,
            tmp_path / "inside",
            JAXPAD_NODE=name,
            JAXPAD_COORDINATOR=address,
            JOB_COMPLETION_INDEX=str(rank),
        )
        for rank, name in enumerate(nodes)
    ]
    for rank, end in enumerate(started):
        code, log = end()
        assert code == 0, log
        (cluster.folder / "logs" / f"multi-{rank}.log").write_text(log)
    ran = run()
    assert ran.code == 0, ran.said
    found = json.loads((ran.out / "multi.json").read_text())
    assert (found["verdict"], found["processes"]) == ("pass", 2)
    assert [one["node"] for one in found["ranks"]] == list(nodes)
