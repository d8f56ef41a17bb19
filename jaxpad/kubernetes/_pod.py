"""The pod: one node's part, with no rights and all of what JAX and NCCL need."""

from __future__ import annotations

from typing import Any

from jaxpad.engines import Run
from jaxpad.kubernetes._pods import Pods

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
