"""What a pod left behind: its report in a node's folder, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad.clusters.kube_follow import Ending, Followed
from jaxpad.clusters.kube_logs import MARK, Lost, unpack
from jaxpad.clusters.stages import some
from jaxpad.core.results import Verdict
from jaxpad.core.text import brief_message, quoted_kubernetes_name, valid_kubernetes_name


@dataclass(frozen=True)
class Landed:
    """One index of a job, done with. `name`: of its node; of the pod where it got none."""

    name: str
    verdict: Verdict | None  # None: not tested
    why: str = ""


def clear(nodes: Path) -> None:
    """Take away what an earlier run left: its reports would be counted as this run's."""
    for file in nodes.glob("*/smoke.json"):
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()


def name_of(index: int, ending: Ending) -> str:
    """The node that a pod is on; what stands for it where it is on none."""
    return ending.node if valid_kubernetes_name(ending.node) else f"pod-{index}"


def land(nodes: Path, index: int, ending: Ending, log: str) -> Landed:
    """Put the report in a pod's log into its node's folder.

    Not where the node has one: a pod that waited for a free node may be sent to one whose
    pod has ended, since the scheduler no longer counts that.
    """
    name = name_of(index, ending)
    if ending.node and name != ending.node:
        return Landed(name, None, f"its node calls itself {quoted_kubernetes_name(ending.node)}")
    file = nodes / name / "smoke.json"
    if file.exists():
        return Landed(f"pod-{index}", None, f"no other node was free: it ran on {name} again")
    try:
        text = unpack(log)
    except Lost as lost:
        return Landed(name, None, absence(ending, log, str(lost)))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return Landed(name, _verdict(text), ending.why if _unusual(ending.why) else "")


def _verdict(text: str) -> Verdict:
    """Inconclusive where it cannot be read: `jaxpad.fleet` says why."""
    try:
        return Verdict(json.loads(text)["verdict"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return Verdict.INCONCLUSIVE


def _unusual(why: str) -> bool:
    """A pod ends with its verdict's code: nothing to speak of."""
    return bool(why) and why not in {f"exit code {code}, Error" for code in (1, 3)}


def absence(ending: Ending, log: str, lost: str) -> str:
    """Why a pod that has ended has no report."""
    last = last_line(log)
    said = f"the last line of its log is: {last}" if last else ""
    missing = (ending.unread or lost) if ending.spoke else ""
    return "; ".join(filter(None, (ending.why, missing, said)))


def last_line(log: str) -> str:
    """The last that a pod has said, in one printable line."""
    lines = (line for line in reversed(log[-20_000:].splitlines()) if MARK not in line)
    return next((brief_message(line) for line in lines if line.strip()), "")


# What the pods that are left wait for, in words.


def standing(left: Mapping[int, Followed]) -> str:
    """`waiting: 2 running (n1, n2), 1 not yet (pod-7: Unschedulable: …)`."""
    pods = {index: one.pod for index, one in left.items()}
    running = [pod.node for pod in pods.values() if pod and pod.phase == "Running"]
    others = {i: pod for i, pod in pods.items() if pod is None or pod.phase != "Running"}
    reasons = [f"pod-{i}: {(pod and pod.why) or 'no reason given'}" for i, pod in others.items()]
    parts = [f"{len(running)} running ({some(running)})"] if running else []
    parts += [f"{len(others)} not yet ({some(reasons)})"] if others else []
    return f"waiting: {', '.join(parts)}"
