"""The jobs of a run: a pod for each node by itself, then all of them as one JAX program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from jaxpad.containers.engine import Run

# What is wanted of a cluster, in no manifest's words.

SLACK_S = 120  # on top of all limits, before the cluster itself ends what we have lost sight of
PORT = 55527  # the port that JAX's own detection of Kubernetes takes


@dataclass(frozen=True)
class Pods:
    """Pods that run one command, each on a node of its own."""

    run: str  # name of the whole run, a label of all that belongs to it
    stage: str  # "nodes" or "multi"
    count: int
    image: str
    command: tuple[str, ...]
    seconds: int  # that the command may take
    wait_s: int  # that a pod may take to start
    gpus: int = 0  # of each pod
    pull_secret: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()  # on these only; empty: on any
    without: tuple[str, ...] = ()  # but not on these

    @property
    def name(self) -> str:
        """Of the job; the host name of pod 3 is `name`-3."""
        return f"{self.run}-{self.stage}"

    @property
    def deadline_s(self) -> int:
        """Of the job, from its start: every pod has ended by then."""
        return self.wait_s + self.seconds + SLACK_S


# The pod: one node's part, with no rights and all of what JAX and NCCL need.

Manifest = dict[str, Any]

RUN = "jaxpad.io/run"
STAGE = "jaxpad.io/stage"
CONTAINER = "jaxpad"
GPU = "nvidia.com/gpu"  # of NVIDIA's device plugin, and of the taint that clusters put on GPU nodes
USER = 1000  # of the image
GRACE_S = 45  # between the signal and the end: smoke writes its report, the log takes it
_HOSTNAME = "kubernetes.io/hostname"


def labels(pods: Pods) -> dict[str, str]:
    """What finds a run's objects, and a stage's."""
    return {"app.kubernetes.io/name": "jaxpad", RUN: pods.run, STAGE: pods.stage}


def template(pods: Pods, subdomain: str = "") -> Manifest:
    """A pod template. With a subdomain each pod has a name in the cluster's DNS."""
    spec = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **({"subdomain": subdomain} if subdomain else {}),
        **({"imagePullSecrets": [{"name": pods.pull_secret}]} if pods.pull_secret else {}),
        "securityContext": _nobody(),
        **({"tolerations": [_toleration()]} if pods.gpus else {}),
        "affinity": _affinity(pods),
        "containers": [_container(pods)],
        "volumes": [_shm()],
    }
    return {"metadata": {"labels": labels(pods)}, "spec": spec}


def _nobody() -> Manifest:
    """With the container's own part this is the `restricted` pod security standard."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _toleration() -> Manifest:
    return {"key": GPU, "operator": "Exists", "effect": "NoSchedule"}


def _affinity(pods: Pods) -> Manifest:
    """One pod to a node: spreading alone would put a second one on a node where nodes are few."""
    alike = {"matchLabels": {RUN: pods.run, STAGE: pods.stage}}
    apart = [{"labelSelector": alike, "topologyKey": _HOSTNAME}]
    found: Manifest = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}}
    terms = [{"matchFields": [_is("In", node)]} for node in pods.nodes]
    if pods.without and not pods.nodes:
        terms = [{"matchFields": [_is("NotIn", node) for node in pods.without]}]
    chosen = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return found | ({"nodeAffinity": chosen} if terms else {})


def _is(operator: str, node: str) -> Manifest:
    """By the node's name, since its host name label can be another; one value is all it takes."""
    return {"key": "metadata.name", "operator": operator, "values": [node]}


def _container(pods: Pods) -> Manifest:
    """`args`, so that the image's entrypoint stays: it composes JAXPAD_PROFILE."""
    return {
        "name": CONTAINER,
        "image": pods.image,
        "args": [_literal(word) for word in pods.command],
        "env": [_node_name(), *(_variable(*one) for one in pods.environ.items())],
        "resources": _resources(pods.gpus),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 - the pod's own
    }


def _variable(name: str, value: str) -> Manifest:
    return {"name": name, "value": _literal(value)}


def _literal(text: str) -> str:
    """Kubernetes puts a variable's value where a text has $(NAME)."""
    return text.replace("$", "$$")


def _node_name() -> Manifest:
    return {"name": "JAXPAD_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}


def _resources(gpus: int) -> Manifest:
    """No limit on CPUs, which would throttle; memory that is not shared with others.

    The suite on a CPU with 8 devices stays below 8 GiB; /dev/shm counts as memory, too.
    """
    memory = f"{8 + 8 * gpus}Gi"
    limits = {"memory": memory} | ({GPU: str(gpus)} if gpus else {})
    return {"requests": {"cpu": str(max(1, 2 * gpus)), "memory": memory}, "limits": limits}


def _shm() -> Manifest:
    """The runtime's own /dev/shm has 64 MiB, too little for NCCL."""
    size = Run.shm_size.replace("g", "Gi")
    return {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}


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


def service_manifest(pods: Pods) -> Manifest:
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


def jobset_manifest(pods: Pods) -> Manifest:
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


# Manifests as YAML that people like to read and yamllint has nothing to say about.

# To the library's YAML 1.1 the text 1e3 is no number; to kubectl's 1.2 it is.
_LIKE_A_NUMBER = re.compile(r"[-+]?\.?[0-9][0-9a-fox_.+-]*")


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes equal parts out where the library would put an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "'" if _LIKE_A_NUMBER.fullmatch(data.lower()) else "|" if "\n" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def to_yaml(manifests: Iterable[Manifest]) -> str:
    """One document each."""
    return yaml.dump_all(manifests, Dumper=_Dumper, explicit_start=True, sort_keys=False, width=96)
