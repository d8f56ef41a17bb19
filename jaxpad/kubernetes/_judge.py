"""When a pod has ended for us: by itself, or because it kept us waiting."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpad.kubernetes._pods import SLACK_S
from jaxpad.kubernetes._state import ENDED, Pod

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
