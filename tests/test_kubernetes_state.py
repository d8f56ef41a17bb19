"""Where a pod is, and when it has kept us waiting long enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jaxpad.clusters import kube_follow
from jaxpad.clusters.kube_collect import last_line, standing
from jaxpad.clusters.kube_follow import Followed, Patience, Pod, Refused, judge, parse, reasons
from jaxpad.clusters.kube_manifests import SLACK_S
from jaxpad.core.text import brief_message, quoted_kubernetes_name, valid_kubernetes_name

PATIENCE = Patience(wait_s=600, run_s=900)


def pod(phase: str = "Pending", **more: Any) -> Pod:
    given: dict[str, Any] = {"index": 0, "name": "p-0", "node": "", "phase": phase}
    return Pod(**(given | more))


def listed(*items: dict[str, Any]) -> str:
    return json.dumps({"kind": "List", "items": items})


def item(index: str = "0", name: str = "p-0", made: str = "1", **status: Any) -> dict[str, Any]:
    annotations = {"batch.kubernetes.io/job-completion-index": index}
    metadata = {"name": name, "creationTimestamp": made, "annotations": annotations}
    return {"metadata": metadata, "spec": {}, "status": status}


@pytest.mark.parametrize("text", ["", "[]", "null", '{"items": 1}', "[" * 100_000])
def test_no_list_of_pods(text: str) -> None:
    with pytest.raises(Refused, match="no list of pods"):
        parse(text)
    assert reasons(text) == ()


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"metadata": None},
        {"metadata": {"annotations": []}},
        item(index="-1"),
        item(index="²"),
        item(index="9" * 40),
        item(name="../p"),
        item(name="P\x1b[31m"),
    ],
)
def test_odd_pods_are_passed_over(odd: dict[str, Any]) -> None:
    assert parse(listed(odd, item())).keys() == {0}
    assert parse(listed(odd)) == {}


@pytest.mark.parametrize("status", [{"containerStatuses": 1}, {"conditions": 7}, {"phase": 3}])
def test_odd_status(status: dict[str, Any]) -> None:
    assert parse(listed(item(**status)))[0].phase == "Pending"


def test_younger_pod_counts() -> None:
    found = parse(listed(item(name="p-b", made="2"), item(name="p-a", made="1")))
    assert found[0].name == "p-b"


def test_disruption_is_the_reason() -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    assert parse(listed(item(phase="Failed", conditions=[condition])))[0].why == condition["reason"]


def test_scheduler_is_asked_before_the_container_waits() -> None:
    waiting = {"state": {"waiting": {"reason": "PodInitializing"}}}
    told = parse(listed(item(containerStatuses=[waiting])))[0].why
    assert told == "PodInitializing"


ENVOY = {"name": "istio-proxy", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}


def ours(**state: Any) -> dict[str, Any]:
    return {"name": "jaxpad", "state": state}


@pytest.mark.parametrize(
    ("phase", "statuses", "words"),
    [
        ("Failed", [ENVOY, ours(terminated={"exitCode": 137, "reason": "OOMKilled"})], "137, OOM"),
        ("Pending", [ENVOY, ours(waiting={"reason": "ImagePullBackOff"})], "ImagePullBackOff"),
        (
            "Failed",
            [ours(terminated={"exitCode": 128, "reason": "StartError", "message": "no driver"})],
            "exit code 128, StartError: no driver",
        ),
    ],
)
def test_our_container(phase: str, statuses: list[dict[str, Any]], words: str) -> None:
    """Not the first, which a mesh may have put there; with what the runtime says."""
    found = parse(listed(item(phase=phase, containerStatuses=statuses)))[0]
    assert words in found.why
    assert found.pulling == (phase == "Pending")


def test_event_of_a_pod_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    told = "FailedCreatePodSandBox: no runtime"

    def events(_: object, name: str) -> tuple[str, ...]:
        asked.append(name)
        return (told,)

    monkeypatch.setattr(kube_follow, "_events", events)
    ending = kube_follow.Ending(pod(), "still pending after 600 s: ContainerCreating")
    pods: Any = None
    found = kube_follow._with_reason(kube_follow.Kubectl(), pods, ending)
    assert (asked, found.why) == (["p-0"], f"{ending.why}: {told}")


def test_newest_warning_first() -> None:
    events = [
        {"type": "Warning", "reason": "A", "message": "old", "lastTimestamp": "2026-01-01"},
        {"type": "Warning", "reason": "B", "message": "new", "eventTime": "2026-01-02"},
        {"type": "Normal", "reason": "C", "message": "newest", "eventTime": "2026-01-03"},
    ]
    assert reasons(json.dumps({"items": events})) == ("B: new", "A: old")


@pytest.mark.parametrize(
    ("seen", "waited", "why"),
    [
        (pod(why="Unschedulable: no"), 601, "still pending after 601 s: Unschedulable: no"),
        (pod(why="ErrImagePull", pulling=True), 61, "still pending after 61 s: ErrImagePull"),
        (pod("Unknown"), 601, "still unknown after 601 s: no reason given"),
        (pod("Running"), 901 + SLACK_S, "still running"),
        (None, 601, "no pod was made for it in 601 s"),
    ],
)
def test_patience_ends(seen: Pod | None, waited: float, why: str) -> None:
    one = Followed(0.0, seen)
    assert judge(one, seen is not None, waited / 2 if waited > 300 else 1, PATIENCE) is None
    ending = judge(one, seen is not None, waited, PATIENCE)
    assert ending is not None
    assert ending.why.startswith(why)


def test_time_counts_from_the_start() -> None:
    one = Followed(0.0)
    one.update(pod(), 1)
    one.update(pod("Running"), 590)
    one.update(pod("Running"), 1000)
    assert one.since == 590


def test_pod_that_is_gone() -> None:
    ending = judge(Followed(0.0, pod("Running")), False, 1.0, PATIENCE)
    assert ending is not None
    assert "was deleted" in ending.why


def test_what_is_waited_for() -> None:
    left = {n: Followed(0.0, pod("Running", index=n, node=f"gpu-{n}")) for n in range(5)}
    left[7] = Followed(0.0, pod(index=7, why="Unschedulable: no"))
    left[8] = Followed(0.0)
    assert standing(left) == (
        "waiting: 5 running (gpu-0, gpu-1, gpu-2, and 2 more), "
        "2 not yet (pod-7: Unschedulable: no, pod-8: no reason given)"
    )


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a..b", "a_b", "a/b", "a" * 254, "é", "a\n"])
def test_no_name(name: str) -> None:
    assert not valid_kubernetes_name(name)


@pytest.mark.parametrize("name", ["a", "gpu-1", "ip-10-0-0-1.ec2.internal", "1"])
def test_name(name: str) -> None:
    assert valid_kubernetes_name(name)


def test_words_from_elsewhere_are_one_line() -> None:
    assert brief_message("a\n\x1b[31mb\u202ec" + "x" * 900) == "a b\ufffdc" + "x" * 294 + "…"
    assert quoted_kubernetes_name("a; reboot") == "'a; reboot'"


def test_last_line_is_not_the_report() -> None:
    assert last_line("one\ntwo\n\njaxpad-parcel: 1/1 x y\n \n") == "two"
