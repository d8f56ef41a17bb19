"""kubectl: each question and order as an argv, and what its refusals mean."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from jaxpad.core import child
from jaxpad.errors import UsageError
from jaxpad.kubernetes._names import brief
from jaxpad.kubernetes._pod import CONTAINER, RUN, STAGE

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
    low, line = words.lower(), brief(words.partition("; if you choose to ignore")[0])
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
