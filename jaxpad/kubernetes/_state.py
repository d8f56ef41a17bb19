"""Where each pod of a job is, read from what kubectl prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.kubernetes._kubectl import Refused
from jaxpad.kubernetes._names import brief, valid

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
    return {pod.index: pod for pod in found if pod and valid(pod.name)}


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
    signal = " (out of memory: it may use what its limit says)" if reason == "OOMKilled" else ""
    return f"exit code {code}, {brief(reason, 80)}{signal}" if isinstance(code, int) else ""


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
    """The status of the pod's only container."""
    statuses = _at(item, "status").get("containerStatuses")
    first = statuses[0] if isinstance(statuses, list) and statuses else {}
    return first if isinstance(first, dict) else {}


def _joined(reason: str, message: str) -> str:
    return brief(": ".join(filter(None, (reason, message))))


def _at(item: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at a path, empty where there is none."""
    for key in path:
        found = item.get(key)
        item = found if isinstance(found, dict) else {}
    return item


def _text(item: Mapping[str, Any], *path: str) -> str:
    found = _at(item, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""
