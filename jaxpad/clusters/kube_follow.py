"""Follow the pods of a job until each has ended, or has kept us waiting too long."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from jaxpad.clusters.kube_manifests import CONTAINER, RUN, SLACK_S, STAGE, Pods
from jaxpad.core import child
from jaxpad.core.results import UsageError
from jaxpad.core.text import brief_message, valid_kubernetes_name

# kubectl: each question and order as an argv, and what its refusals mean.

_REQUEST_S = 30
_LIMIT_S = 120.0  # of a whole call: discovery and a page of pods are requests of their own
_LOG_BYTES = 64 << 20
_BOUND = _LOG_BYTES + (1 << 20)  # a log that kubectl cuts comes whole
_SILENT = (
    "was refused",
    "connection refused",
    "unable to connect",
    "i/o timeout",
    "no route to host",
    "etcdserver",
    "tls handshake",
    "too many requests",
    "timed out",
    "service unavailable",
    "internalerror",
    "connection reset",
    "unexpected eof",
)


class Refused(Exception):
    """The cluster said no: one sentence with the remedy."""


class Unreachable(Refused):
    """The cluster did not answer, which may pass."""


@dataclass(frozen=True)
class Kubectl:
    """One cluster and namespace; empty: as the caller's kubeconfig says."""

    namespace: str = ""
    extra: tuple[str, ...] = ()  # more options, such as --context

    def create_argv(self) -> list[str]:
        """Creates the manifests on stdin. Unlike `apply` it never changes what is there."""
        return self._argv("create", "--filename=-")

    def pods_argv(self, run: str, stage: str) -> list[str]:
        """Prints the pods of a stage."""
        return self._argv("get", "pods", f"--selector={RUN}={run},{STAGE}={stage}", "--output=json")

    def logs_argv(self, pod: str) -> list[str]:
        """Prints what a pod has said."""
        return self._argv("logs", pod, f"--container={CONTAINER}", f"--limit-bytes={_LOG_BYTES}")

    def events_argv(self, name: str) -> list[str]:
        """Prints what has happened to an object."""
        return self._argv(
            "get", "events", f"--field-selector=involvedObject.name={name}", "--output=json"
        )

    def delete_argv(self, run: str, kinds: Sequence[str]) -> list[str]:
        """Deletes a run's objects, pods included, and does not wait until they are gone."""
        return self._argv(
            "delete",
            ",".join(kinds),
            f"--selector={RUN}={run}",
            "--wait=false",
            "--ignore-not-found",
        )

    def _argv(self, *words: str) -> list[str]:
        where = [f"--namespace={self.namespace}"] if self.namespace else []
        return ["kubectl", *self.extra, *where, f"--request-timeout={_REQUEST_S}s", *words]


def require() -> None:
    """Raises UsageError where there is no kubectl."""
    if not shutil.which("kubectl"):
        raise UsageError(
            "kubectl is not on PATH; install it (https://kubernetes.io/docs/tasks/tools/), or "
            "print the manifests with --dry-run"
        )


def ask(argv: Sequence[str], given: str = "") -> str:
    """What a command prints. Raises Refused, or Unreachable.

    In a session of its own: Ctrl-C is ours to answer, and must not end the call that cleans up.
    """
    try:
        done = child.run(argv, given=given, limit_s=_LIMIT_S, bound=_BOUND)
    except OSError as error:
        raise Refused(f"kubectl cannot be run: {error.strerror}") from error
    if done.late:
        raise Unreachable(f"kubectl gave no answer within {_LIMIT_S:.0f} s{done.note}")
    if done.code:
        raise refusal(done.err)
    return done.out


def refusal(words: str) -> Refused:
    """What kubectl's words on stderr mean, and what to do about it."""
    low, line = words.lower(), brief_message(words.partition("; if you choose to ignore")[0])
    if "forbidden" in low and "exceeded quota" not in low:
        return Refused(f"{line}; ask for that right, docs/kubernetes.md lists all that is needed")
    if any(sign in low for sign in _SILENT):
        return Unreachable(f"{line}; see `kubectl cluster-info`")
    if "unauthorized" in low or "must be logged in" in low:
        return Refused(f"{line}; log in again, `kubectl auth whoami` says as whom you are known")
    if "no matches for kind" in low and "jobset" in low:
        return Refused("this cluster has no JobSet (jobset.x-k8s.io/v1alpha2); leave out --jobset")
    if "backofflimitperindex" in low:
        return Refused(f"{line}; Kubernetes 1.29 or newer is needed")
    return Refused(line or "kubectl failed and gave no reason")


# Where each pod of a job is, read from what kubectl prints.

_INDEX = "batch.kubernetes.io/job-completion-index"
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Pod:
    """One pod; `why` says in the cluster's words what keeps it or has ended it."""

    index: int
    name: str
    node: str  # empty: on none yet
    phase: str  # Pending, Running, Succeeded, Failed, Unknown
    why: str = ""
    pulling: bool = False  # the image cannot be had, and it is tried again and again


def parse(text: str) -> dict[int, Pod]:
    """The pods by index; of two with one index the younger.

    Raises Refused for what is no list of pods.
    """
    try:
        items = sorted(_items(text), key=lambda item: _text(item, "metadata", "creationTimestamp"))
        found = [_pod(item) for item in items]
    except (ValueError, RecursionError):
        raise Refused("kubectl printed no list of pods; try `kubectl get pods -o json`") from None
    return {pod.index: pod for pod in found if pod and valid_kubernetes_name(pod.name)}


def reasons(text: str) -> tuple[str, ...]:
    """What the warnings in a list of events say, the newest first."""
    try:
        items = list(_items(text))
    except (ValueError, RecursionError):
        return ()
    warnings = [item for item in items if item.get("type") == "Warning"]
    warnings.sort(key=lambda item: _text(item, "lastTimestamp") or _text(item, "eventTime"))
    told = (_joined(_text(item, "reason"), _text(item, "message")) for item in reversed(warnings))
    return tuple(dict.fromkeys(filter(None, told)))


def _items(text: str) -> Iterator[Mapping[str, Any]]:
    data = json.loads(text)
    items = data.get("items") if isinstance(data, dict) else None
    if not isinstance(items, list):
        raise ValueError
    return (item for item in items if isinstance(item, dict))


def _pod(item: Mapping[str, Any]) -> Pod | None:
    index = _text(item, "metadata", "annotations", _INDEX)
    if not (index.isascii() and index.isdecimal() and len(index) < 8):
        return None
    phase = _text(item, "status", "phase") or "Pending"
    return Pod(
        index=int(index),
        name=_text(item, "metadata", "name"),
        node=_text(item, "spec", "nodeName"),
        phase=phase,
        why=_ending(item) if phase in ENDED else _waiting(item),
        pulling=_text(_container(item), "state", "waiting", "reason") in _NO_IMAGE,
    )


_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


def _ending(item: Mapping[str, Any]) -> str:
    """Why the pod was ended, else how its container did."""
    status = item.get("status", {})
    if _text(status, "reason"):  # Evicted, NodeLost, Preempting, …
        return _joined(_text(status, "reason"), _text(status, "message"))
    disrupted = _condition(item, "DisruptionTarget", "True")
    if disrupted:
        return disrupted
    ended = _at(_container(item), "state", "terminated")
    code, reason = ended.get("exitCode"), _text(ended, "reason")
    if not isinstance(code, int):
        return ""
    signal = " (out of memory: it may use what its limit says)" if reason == "OOMKilled" else ""
    told = _joined(brief_message(reason, 80), _text(ended, "message"))  # the runtime's own words
    return f"exit code {code}, {told}{signal}"


def _waiting(item: Mapping[str, Any]) -> str:
    """What the container waits for, else what the scheduler does."""
    waiting = _at(_container(item), "state", "waiting")
    told = _joined(_text(waiting, "reason"), _text(waiting, "message"))
    return told or _condition(item, "PodScheduled", "False")


def _condition(item: Mapping[str, Any], kind: str, value: str) -> str:
    conditions = _at(item, "status").get("conditions")
    for one in conditions if isinstance(conditions, list) else ():
        if isinstance(one, dict) and (one.get("type"), one.get("status")) == (kind, value):
            return _joined(_text(one, "reason"), _text(one, "message"))
    return ""


def _container(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """The status of our container: a cluster may put others beside it."""
    statuses = _at(item, "status").get("containerStatuses")
    found = [one for one in statuses if isinstance(one, dict)] if isinstance(statuses, list) else []
    ours = (one for one in found if one.get("name") == CONTAINER)
    unnamed = (one for one in found if "name" not in one)
    return next(ours, None) or next(unnamed, {})


def _joined(reason: str, message: str) -> str:
    return brief_message(": ".join(filter(None, (reason, message))))


def _at(item: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at a path, empty where there is none."""
    for key in path:
        found = item.get(key)
        item = found if isinstance(found, dict) else {}
    return item


def _text(item: Mapping[str, Any], *path: str) -> str:
    found = _at(item, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


# When a pod has ended for us: by itself, or because it kept us waiting.

NO_IMAGE_S = 60.0  # for an image that cannot be pulled; a registry may hiccup


@dataclass(frozen=True)
class Patience:
    """How long a pod may keep us waiting."""

    wait_s: float  # until it runs
    run_s: float  # until it has ended


@dataclass
class Followed:
    """What is known of one pod of a job, and since when."""

    since: float
    pod: Pod | None = None

    def update(self, pod: Pod | None, now: float) -> None:
        """Take in what is seen now; the clock starts anew once the pod runs."""
        if pod and pod.phase == "Running" and (self.pod is None or self.pod.phase != "Running"):
            self.since = now
        self.pod = pod or self.pod


@dataclass(frozen=True)
class Ending:
    """How one pod ended. `why` is empty where it did so by itself and well."""

    pod: Pod | None
    why: str = ""
    unread: str = ""  # why its log could not be read

    @property
    def node(self) -> str:
        return self.pod.node if self.pod else ""

    @property
    def spoke(self) -> bool:
        """Whether there can be something in its log."""
        return self.pod is not None and self.pod.phase in (*ENDED, "Running")


def judge(one: Followed, here: bool, now: float, patience: Patience) -> Ending | None:
    """The ending of a pod, None where it goes on; `here`: it is in the newest list."""
    pod, waited = one.pod, now - one.since
    if pod and pod.phase in ENDED:
        return Ending(pod, pod.why)
    if pod and not here:
        return Ending(pod, "its pod was deleted, and not by jaxpad")
    if pod and pod.phase == "Running":
        return Ending(pod, _overran(patience)) if waited > patience.run_s + SLACK_S else None
    limit = min(patience.wait_s, NO_IMAGE_S) if pod and pod.pulling else patience.wait_s
    return Ending(pod, _pending(pod, waited)) if waited > limit else None


def _overran(patience: Patience) -> str:
    return (
        f"still running {SLACK_S} s after its time limit of {patience.run_s:.0f} s: its node does "
        "not answer, or its process cannot be ended"
    )


def _pending(pod: Pod | None, waited: float) -> str:
    if pod is None:
        return f"no pod was made for it in {waited:.0f} s"
    return f"still {pod.phase.lower()} after {waited:.0f} s: {pod.why or 'no reason given'}"


UNREACHABLE_S = 180.0  # without an answer from the cluster, and we give up
PAUSE_S = 2.0  # between two looks; longer for many pods, whose list takes longer, too
_READERS = 8
_AGAIN_S = 2.0  # before a log is asked for once more
Ended = Callable[[int, Ending, str], None]  # index, how it ended, its log
Waiting = Callable[[Mapping[int, Followed]], None]


def follow(kube: Kubectl, pods: Pods, ended: Ended, waiting: Waiting) -> None:
    """Call `ended` once for every index of the job, in the order in which they end.

    Calls `waiting` after every look. Polls, since a watch that breaks has to be fixed by
    polling anyway. Raises Refused where the cluster says no, or has not answered for
    UNREACHABLE_S.
    """
    patience = Patience(pods.wait_s, pods.seconds)
    left = {index: Followed(time.monotonic()) for index in range(pods.count)}
    pause = min(5 * PAUSE_S, PAUSE_S + pods.count / 250)
    with ThreadPoolExecutor(_READERS) as readers:
        while left:
            seen = _look(kube, pods)
            over = _step(left, seen, patience)
            ready = [_with_reason(kube, pods, ending) for ending in over.values()]
            read = readers.map(lambda one: _read(kube, one), ready)
            for index, (ending, log) in zip(over, read, strict=True):
                del left[index]
                ended(index, ending, log)
            waiting(left)
            time.sleep(pause if left else 0)


def _look(kube: Kubectl, pods: Pods) -> dict[int, Pod]:
    """The pods now; asks again while the cluster does not answer."""
    end = time.monotonic() + UNREACHABLE_S
    while True:
        try:
            return parse(ask(kube.pods_argv(pods.run, pods.stage)))
        except Unreachable:
            if time.monotonic() > end:
                raise
            time.sleep(_AGAIN_S)


def _step(left: dict[int, Followed], seen: dict[int, Pod], patience: Patience) -> dict[int, Ending]:
    now = time.monotonic()
    for index, one in left.items():
        one.update(seen.get(index), now)
    judged = ((i, judge(one, i in seen, now, patience)) for i, one in left.items())
    return {index: ending for index, ending in judged if ending}


def _with_reason(kube: Kubectl, pods: Pods, ending: Ending) -> Ending:
    """A pod that was never made, or never ran, says little itself: its newest event may."""
    if ending.pod is not None and ending.spoke:
        return ending
    told = _events(kube, ending.pod.name if ending.pod else pods.name)
    if told and told[0] in ending.why:
        return ending
    return replace(ending, why=f"{ending.why}: {told[0]}") if told else ending


def _events(kube: Kubectl, name: str) -> Sequence[str]:
    try:
        return reasons(ask(kube.events_argv(name)))
    except Refused:  # the right to read events is not needed for anything else
        return ()


def _read(kube: Kubectl, ending: Ending) -> tuple[Ending, str]:
    """The ending with what the pod has said, or with why that is not known."""
    if not (ending.pod and ending.spoke):
        return ending, ""
    argv = kube.logs_argv(ending.pod.name)
    try:
        return ending, _twice(argv)
    except Refused as error:
        return replace(ending, unread=f"its log cannot be read: {error}"), ""


def _twice(argv: Sequence[str]) -> str:
    try:
        return ask(argv)
    except Unreachable:
        time.sleep(_AGAIN_S)
        return ask(argv)
