"""Follow the pods of a job until each has ended, or has kept us waiting too long."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from jaxpad.kubernetes._judge import Ending, Followed, Patience, judge
from jaxpad.kubernetes._kubectl import Kubectl, Refused, Unreachable, ask
from jaxpad.kubernetes._pods import Pods
from jaxpad.kubernetes._state import Pod, parse, reasons

UNREACHABLE_S = 180.0  # without an answer from the cluster, and we give up
PAUSE_S = 2.0  # between two looks; longer for many pods, whose list takes longer, too
_READERS = 8
_AGAIN_S = 2.0  # before a log is asked for once more
Ended = Callable[[int, Ending, str], None]  # index, how it ended, its log
Waiting = Callable[[Mapping[int, Followed]], None]


def follow(kube: Kubectl, pods: Pods, ended: Ended, waiting: Waiting) -> None:
    """Call `ended` once for every index of the job, in the order in which they end.

    Calls `waiting` after every look. Polls, since a watch that breaks has to be mended by
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
    """A pod that was never made says nothing itself: the events of its job may."""
    if ending.pod is not None:
        return ending
    told = _events(kube, pods.name)
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
