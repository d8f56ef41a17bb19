"""What `--dry-run` prints: every manifest, with the command of each as a comment."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from jaxpad.kubernetes._jobs import resources
from jaxpad.kubernetes._plan import Plan
from jaxpad.kubernetes._yaml import to_yaml


def dry_run(plan: Plan) -> str:
    """One YAML text for kubectl, which skips the comments. Nothing has been run."""
    return "".join(_parts(plan))


def _parts(plan: Plan) -> Iterator[str]:
    kube, pods = plan.kube, plan.node_pods()
    create, manifests = kube.create_argv(), plan.first()
    yield _remark("1. The suite on every node by itself", create)
    yield to_yaml(manifests)
    yield _remark("and until all pods have ended", kube.pods_argv(pods.run, pods.stage))
    yield _remark("then for each of them", kube.logs_argv("POD"))
    if plan.count > 1:
        yield _remark("2. One program of a process on each node that passed", create)
        yield to_yaml(plan.second())
        manifests = [*manifests, *plan.second()]
    yield _remark("in the end", kube.delete_argv(plan.name, resources(manifests)))


def _remark(what: str, argv: Sequence[str]) -> str:
    return f"# {what}:\n# {shlex.join(argv)}\n"
