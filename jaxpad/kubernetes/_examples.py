"""The ready examples in configs/clusters/kubernetes: the same manifests, with usual numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jaxpad
from jaxpad.cluster import Cluster
from jaxpad.kubernetes._jobs import nodes_job
from jaxpad.kubernetes._plan import Plan, Suite
from jaxpad.kubernetes._pod import Manifest
from jaxpad.kubernetes._yaml import to_yaml

_REGISTRY = "registry.example.com/jaxpad"
_WEEKLY = "0 3 * * 0"  # Sundays at three
_SUITE = Suite(platform="gpu", limit=180.0)


def examples() -> dict[str, str]:
    """Each file's content, by its name."""
    return {
        "nodes.yaml": _file("The suite on two nodes of 8 GPUs, each by itself.", _plan().first()),
        "multi.yaml": _file("One JAX program of a process on each of two nodes.", _plan().second()),
        "jobset.yaml": _file("The same as multi.yaml, as a JobSet.", _plan(jobset=True).second()),
        "cronjob.yaml": _file("The suite on one node, every Sunday.", [cron_job()]),
        "role.yaml": _file("All rights that `jaxpad smoke --on kubernetes` needs.", [role()]),
    }


def _plan(nodes: int = 2, *, jobset: bool = False, name: str = "jaxpad-example") -> Plan:
    image = f"{_REGISTRY}:{jaxpad.__version__}-toolbox-cuda13"
    wanted = Cluster(nodes=nodes, gpus_per_node=8, image=image, jobset=jobset)
    return Plan(name, wanted, _SUITE, Path(), gpus=8)


def cron_job() -> Manifest:
    """A CronJob needs no kubectl: its jobs' exit codes say what was found."""
    [job] = [nodes_job(_plan(nodes=1, name="jaxpad-weekly").node_pods())]
    metadata = {"name": "jaxpad-weekly", "labels": {"app.kubernetes.io/name": "jaxpad"}}
    spec = {
        "schedule": _WEEKLY,
        "concurrencyPolicy": "Forbid",
        "jobTemplate": {"metadata": {"labels": job["metadata"]["labels"]}, "spec": _kept(job)},
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}


def _kept(job: Manifest) -> Manifest:
    """The CronJob itself keeps the last jobs, so that their logs can be read in the morning."""
    return {key: value for key, value in job["spec"].items() if key != "ttlSecondsAfterFinished"}


def role() -> Manifest:
    """For the person or CI that starts a run; the pods themselves have no rights at all."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "jaxpad-smoke"},
        "rules": [
            _rule("batch", ["jobs"], ["create", "list", "delete"]),
            _rule("", ["services"], ["create", "list", "delete"]),
            _rule("", ["pods"], ["get", "list"]),
            _rule("", ["pods/log"], ["get"]),
            _rule("", ["events"], ["list"]),
            _rule("jobset.x-k8s.io", ["jobsets"], ["create", "list", "delete"]),
        ],
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _file(what: str, manifests: list[Manifest]) -> str:
    return f"# {what}\n# Made by `invoke docs`; see docs/kubernetes.md.\n{to_yaml(manifests)}"
