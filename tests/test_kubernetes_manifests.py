"""The manifests, held to the schemas of the Kubernetes versions they are for."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from helpers import HOME
from jaxpad.clusters import kube_manifests
from jaxpad.clusters.kube import Plan, Suite
from jaxpad.clusters.request import Cluster
from jaxpad.containers.engine import Run
from tools.docs import manifests

IMAGE = "registry.example.com/jaxpad:1"
VERSIONS = ("1.29", "1.31", "1.33", "1.35", "1.37")  # backoffLimitPerIndex is on since 1.29
FOLDER = HOME / "configs" / "clusters" / "kubernetes"
# https://github.com/kubernetes-sigs/jobset/blob/main/api/jobset/v1alpha2/jobset_types.go
JOBSET = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "jobset.x-k8s.io/v1alpha2"},
        "kind": {"const": "JobSet"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["replicatedJobs"],
            "properties": {
                "network": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "enableDNSHostnames": {"type": "boolean"},
                        "subdomain": {"type": "string"},
                        "publishNotReadyAddresses": {"type": "boolean"},
                    },
                },
                "failurePolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"maxRestarts": {"type": "integer"}},
                },
                "ttlSecondsAfterFinished": {"type": "integer", "minimum": 0},
                "replicatedJobs": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "template"],
                        "properties": {
                            "name": {
                                "type": "string",
                                "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
                            },
                            "replicas": {"type": "integer", "minimum": 1},
                            "template": {"type": "object"},
                        },
                    },
                },
            },
        },
    },
}


def plan(**changed: Any) -> Plan:
    """Everything that can be asked for."""
    suite = Suite(
        "gpu", 180.0, "fsdp", "jit and not $(HOME)", True, False, "gemm_least = 0.5\n", expect=8
    )
    options: dict[str, Any] = {
        "nodes": 3,
        "image": IMAGE,
        "pull_secret": "registry",
        "pairwise": True,
    } | changed
    return Plan("jaxpad-0a1b2c3d", Cluster(**options), suite, Path(), gpus=8)


def job_of(jobset: dict[str, Any]) -> dict[str, Any]:
    """The Job that the controller makes of a JobSet's only template."""
    [replicated] = jobset["spec"]["replicatedJobs"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": jobset["metadata"],
        **copy.deepcopy(replicated["template"]),
    }


def every() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every manifest by a name, JobSets as their Job."""
    nodes = ("gpu-a", "gpu-b.example.com")
    made = {
        "first": plan().first(),
        "second": plan().second(nodes),
        "jobset": plan(jobset=True).second(nodes),
    }
    made |= {f.name: list(yaml.safe_load_all(f.read_text())) for f in sorted(FOLDER.iterdir())}
    for name, documents in made.items():
        for one in documents:
            yield f"{name}-{one['kind']}", job_of(one) if one["kind"] == "JobSet" else one


ALL = dict(every())


def pod(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ALL)
def test_passes_strict_schema(name: str, version: str) -> None:
    manifest = yaml.safe_load(kube_manifests.to_yaml([ALL[name]]))
    kubernetes_validate.validate(manifest, version, strict=True)


def test_strict_catches_a_typo() -> None:
    manifest = copy.deepcopy(ALL["first-Job"])
    pod(manifest)["automountServiceAcountToken"] = False
    kubernetes_validate.validate(manifest, VERSIONS[-1], strict=False)  # sees nothing
    with pytest.raises(kubernetes_validate.ValidationError, match="automountServiceAcountToken"):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


def test_jobset_shell() -> None:
    [jobset] = plan(jobset=True).second()
    jsonschema.validate(jobset, JOBSET)
    jobset["spec"]["failurePolicy"]["maxRestart"] = 0
    with pytest.raises(jsonschema.ValidationError, match="maxRestart"):
        jsonschema.validate(jobset, JOBSET)


def test_jobset_is_the_job() -> None:
    [jobset] = plan(jobset=True).second(("a", "b"))
    _, job = plan().second(("a", "b"))
    ours, theirs = pod(job_of(jobset)), pod(job)
    for spec in (ours, theirs):
        spec.pop("subdomain", None)  # a JobSet sets it itself
        env = spec["containers"][0]["env"]
        spec["containers"][0]["env"] = [one for one in env if one["name"] != "JAXPAD_COORDINATOR"]
    assert ours == theirs


def test_examples_are_not_stale() -> None:
    made = {file: text() for file, text in manifests(HOME).items()}
    assert made == {file: file.read_text() for file in FOLDER.iterdir()}


@pytest.mark.parametrize("name", [name for name, one in ALL.items() if one["kind"] == "Job"])
def test_pod_has_no_rights(name: str) -> None:
    spec = pod(ALL[name])
    [container] = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostIPC", "hostPID", "serviceAccountName"} & spec.keys()


def test_shm_is_as_launch() -> None:
    spec = pod(ALL["first-Job"])
    shm = next(volume for volume in spec["volumes"] if volume["name"] == "shm")
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": f"{Run.shm_size[:-1]}Gi"}
    assert {"name": "shm", "mountPath": "/dev/shm"} in spec["containers"][0]["volumeMounts"]


def test_gpus_are_asked_for() -> None:
    spec = pod(ALL["first-Job"])
    assert spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert spec["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_no_gpu_where_none_is_wanted() -> None:
    bare = Plan("r", Cluster(image=IMAGE), Suite("cpu", 180.0), Path(), gpus=0)
    [job] = bare.first()
    assert "nvidia.com/gpu" not in str(job)


def test_one_pod_to_a_node() -> None:
    job = ALL["first-Job"]
    [rule] = pod(job)["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert rule["labelSelector"]["matchLabels"].items() <= labels.items()


def test_failed_pod_ends_no_other() -> None:
    for name in ("first-Job", "second-Job", "jobset-JobSet"):
        spec = ALL[name]["spec"]
        assert (spec["completionMode"], spec["backoffLimitPerIndex"]) == ("Indexed", 0)
        assert "backoffLimit" not in spec
        assert pod(ALL[name])["restartPolicy"] == "Never"


def test_nothing_lives_for_ever() -> None:
    spec = ALL["first-Job"]["spec"]
    assert spec["activeDeadlineSeconds"] == 600 + 900 + 120  # --wait, --time and some slack
    assert spec["ttlSecondsAfterFinished"] == 600


def test_processes_find_each_other() -> None:
    service, job = plan().second(("a", "b"))
    env = {one["name"]: one.get("value") for one in pod(job)["containers"][0]["env"]}
    host, _, port = str(env["JAXPAD_COORDINATOR"]).rpartition(":")
    assert host == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert int(port) == service["spec"]["ports"][0]["port"]
    assert pod(job)["subdomain"] == service["metadata"]["name"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert env["JAXPAD_PROCESSES"] == str(job["spec"]["completions"]) == "2"
    assert env["JAXPAD_PROFILE"] == "fsdp"


def test_second_stage_is_on_nodes_that_passed() -> None:
    _, job = plan().second(("a", "b"))
    terms = pod(job)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    fields = [term["matchFields"] for term in terms["nodeSelectorTerms"]]
    assert [one["values"] for [one] in fields] == [["a"], ["b"]]


def test_nodes_that_are_left_out() -> None:
    bare = Plan("r", Cluster(image=IMAGE), Suite("cpu", 180.0), Path(), 0, without=("a", "b"))
    [job] = bare.first()
    kubernetes_validate.validate(job, VERSIONS[-1], strict=True)
    affinity = pod(job)["affinity"]["nodeAffinity"]
    [term] = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [(one["operator"], one["values"]) for one in term["matchFields"]] == [
        ("NotIn", ["a"]),
        ("NotIn", ["b"]),
    ]


def test_words_reach_the_pod_as_they_are() -> None:
    [job] = plan().first()
    args = pod(job)["containers"][0]["args"]
    assert args[args.index("-k") + 1] == "jit and not $$(HOME)"  # as Kubernetes wants it
    assert {"--strict", "--no-redact", "--json"} <= set(args)
    assert args[args.index("--expect") + 1] == "8"
    assert args[args.index("--bounds") + 1] == "gemm_least = 0.5\n"


def test_names_are_short_enough() -> None:
    [jobset] = plan(jobset=True).second()
    longest = f"{jobset['metadata']['name']}-node-0-99999"
    assert len(longest) <= 63


@pytest.mark.parametrize("text", ["1e3", "1e+06", "0o17", "900", ".5", "0x1f", "1_000", "yes", "~"])
def test_yaml_keeps_a_text_a_text(text: str) -> None:
    assert kube_manifests.to_yaml([{"a": text}]) == f"---\na: '{text}'\n"


def test_yaml_writes_equal_parts_out() -> None:
    part = {"b": [1]}
    assert kube_manifests.to_yaml([{"x": part, "y": part}]) == (
        "---\nx:\n  b:\n    - 1\ny:\n  b:\n    - 1\n"
    )
