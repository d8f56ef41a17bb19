"""What the pods that are left wait for, in words."""

from __future__ import annotations

from collections.abc import Mapping

from jaxpad.kubernetes._judge import Followed
from jaxpad.stages import some


def standing(left: Mapping[int, Followed]) -> str:
    """`waiting: 2 running (n1, n2), 1 not yet (pod-7: Unschedulable: …)`."""
    pods = {index: one.pod for index, one in left.items()}
    running = [pod.node for pod in pods.values() if pod and pod.phase == "Running"]
    others = {i: pod for i, pod in pods.items() if pod is None or pod.phase != "Running"}
    reasons = [f"pod-{i}: {(pod and pod.why) or 'no reason given'}" for i, pod in others.items()]
    parts = [f"{len(running)} running ({some(running)})"] if running else []
    parts += [f"{len(others)} not yet ({some(reasons)})"] if others else []
    return f"waiting: {', '.join(parts)}"
