"""The jobs of a run: a pod for each node by itself, then all of them as one JAX program."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from jaxpad.kubernetes._pod import Manifest, labels, template
from jaxpad.kubernetes._pods import PORT, Pods

KEEP_S = 600  # an ended job stays this long, should we not come to delete it
REPLICA = "node"  # the only replicated job of a JobSet
_RESOURCES = {
    "Job": "jobs.batch",
    "JobSet": "jobsets.jobset.x-k8s.io",
    "Service": "services",
}


def resources(manifests: Iterable[Manifest]) -> list[str]:
    """What kubectl calls the kinds of these objects, each once."""
    return sorted({_RESOURCES[one["kind"]] for one in manifests})


def nodes_job(pods: Pods) -> Manifest:
    """Independent pods."""
    spec = _indexed(pods) | {"ttlSecondsAfterFinished": KEEP_S, "template": template(pods)}
    return _job(pods, spec)


def multi_job(pods: Pods) -> Manifest:
    """One program of all pods."""
    pods = _joined(pods, f"{pods.name}-0.{pods.run}")
    keep = {"ttlSecondsAfterFinished": KEEP_S}
    return _job(pods, _indexed(pods) | keep | {"template": template(pods, subdomain=pods.run)})


def service(pods: Pods) -> Manifest:
    """Gives the pods of `multi_job` names, before they are ready: that is when they meet."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _named(pods.run, pods),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels(pods),
            "ports": [{"name": "coordinator", "port": PORT}],
        },
    }


def jobset(pods: Pods) -> Manifest:
    """The same as `multi_job` and `service`, for clusters that queue JobSets."""
    pods = _joined(pods, f"{pods.name}-{REPLICA}-0-0.{pods.name}")
    job = _indexed(pods) | {"template": template(pods)}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": _named(pods.name, pods),
        "spec": {
            "network": {"enableDNSHostnames": True},
            "failurePolicy": {"maxRestarts": 0},
            "ttlSecondsAfterFinished": KEEP_S,
            "replicatedJobs": [{"name": REPLICA, "replicas": 1, "template": {"spec": job}}],
        },
    }


def _job(pods: Pods, spec: Manifest) -> Manifest:
    metadata = _named(pods.name, pods)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def _named(name: str, pods: Pods) -> Manifest:
    return {"name": name, "labels": labels(pods)}


def _indexed(pods: Pods) -> Manifest:
    """No index is tried again, and one that fails ends nobody else.

    `backoffLimit: 0` would end all: with its first pod the job fails, and a failed job deletes
    the pods that still run, whose logs say who was at fault. So the limit is each index's own,
    which Kubernetes has had on since 1.29:
    https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index
    """
    return {
        "completionMode": "Indexed",
        "completions": pods.count,
        "parallelism": pods.count,
        "backoffLimitPerIndex": 0,
        "activeDeadlineSeconds": pods.deadline_s,
    }


def _joined(pods: Pods, coordinator: str) -> Pods:
    """What `jaxpad multi` reads, beside the JOB_COMPLETION_INDEX of every Indexed Job."""
    joined = {
        "JAXPAD_COORDINATOR": f"{coordinator}:{PORT}",
        "JAXPAD_PROCESSES": str(pods.count),
        "JAXPAD_RUN": pods.run,
    }
    return replace(pods, environ={**pods.environ, **joined})
