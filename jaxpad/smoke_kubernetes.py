"""`smoke --on kubernetes`: the suite on every node by itself, then one run over all that passed."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from jaxpad import bounds, fleet, kubernetes, profiles, smoke_options as checked
from jaxpad.cluster import SLURM_ONLY, Cluster
from jaxpad.errors import UsageError
from jaxpad.kubernetes import Plan, Suite
from jaxpad.smoke import Options
from jaxpad.stages import Whole


def smoke_kubernetes(options: Options, wanted: Cluster) -> int:
    """Test the nodes and return the fleet's exit code.

    Raises UsageError for bad options, and where there is no kubectl, no cluster or no right.
    """
    plan = planned(options, wanted)
    if options.dry_run:
        sys.stdout.write(kubernetes.dry_run(plan))
        return 0
    kubernetes.require_kubectl()
    checked.make(plan.out)
    found = kubernetes.whole(plan)
    fleet.write(found.fleet, plan.out, scheduler="kubernetes")
    for line in _lines(found, plan):
        sys.stderr.write(f"{line}\n")
    if options.as_json:
        written = json.loads((plan.out / "fleet.json").read_text())
        json.dump(written, sys.stdout, indent=2)
        sys.stdout.write("\n")
    return found.verdict.exit_code


def planned(options: Options, wanted: Cluster) -> Plan:
    """The run that the options ask for; a mistake in them is told before anything runs."""
    _refuse_slurm_words(wanted)
    kubernetes.require_name("namespace", wanted.namespace)
    kubernetes.require_name("pull-secret", wanted.pull_secret)
    _require_image(wanted.image)
    platform = _platform(options.platform, wanted)
    suite = Suite(
        platform=platform,
        limit=checked.limit(options.limit),
        profile=_profile(options.profile),
        select=checked.select(options.select),
        thresholds=_bounds(options.thresholds),
        strict=options.strict,
        redact=options.redact,
    )
    name = f"jaxpad-{secrets.token_hex(4)}"
    gpus, chosen = _gpus(platform, wanted), _chosen(wanted)
    return Plan(name, wanted, suite, options.out.resolve(), gpus, *chosen)


def _chosen(wanted: Cluster) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes to choose from, empty for any, and those to leave out."""
    without = fleet.expand(wanted.exclude) if wanted.exclude else ()
    named = fleet.expand(wanted.nodelist) if wanted.nodelist else ()
    for name in (*named, *without):
        kubernetes.require_name("nodelist" if name in named else "exclude", name)
    within = tuple(name for name in named if name not in without)
    if named and len(within) < (wanted.nodes or 1):
        raise UsageError(
            f"--nodelist has {len(within)} node(s) to choose from, {wanted.nodes or 1} asked for"
        )
    return within, without


def _refuse_slurm_words(wanted: Cluster) -> None:
    usual = {field.name: field.default for field in fields(Cluster)}
    given = [name for name in SLURM_ONLY if getattr(wanted, name) != usual[name]]
    if given:
        raise UsageError(f"--{given[0]} is for slurm: choose nodes with --nodelist or --exclude")


def _require_image(image: str) -> None:
    if not image:
        raise UsageError(
            "--on kubernetes needs --image: a reference that the nodes can pull, such as one that "
            "`invoke build --push REF` has pushed"
        )
    if image.endswith((".sif", ".simg")) or not image.isprintable() or " " in image:
        raise UsageError(f"--image {image!r} is no reference that a node can pull")


def _platform(requested: str, wanted: Cluster) -> str:
    if requested == "gpu" and wanted.gpus_per_node == 0:
        raise UsageError("--platform gpu needs GPUs: leave out --gpus-per-node 0")
    return checked.platform(requested, wanted)


def _gpus(platform: str, wanted: Cluster) -> int:
    if wanted.gpus_per_node is None and platform == "gpu":
        raise UsageError(
            "--on kubernetes needs --gpus-per-node, since a pod is given only the GPUs it asks "
            "for: say how many a node has, or 0 to compute on the CPU"
        )
    return wanted.gpus_per_node or 0


def _profile(profile: str | None) -> str | None:
    """One that is in the image, and not only here."""
    if profile and profile.endswith(".toml"):
        raise UsageError(
            f"--profile {profile} is a file of this machine, which pods do not see: put it into "
            "configs/profiles and build the image again"
        )
    return profiles.load(profile).name if profile else None


def _bounds(thresholds: Path | None) -> str | None:
    """The content of the file, which goes along in the command."""
    bounds.load(thresholds)
    return thresholds.read_text() if thresholds else None


def _lines(found: Whole, plan: Plan) -> Iterator[str]:
    """The verdict, and what is wrong with whom."""
    yield ""
    for node in found.fleet.nodes:
        if node.verdict.exit_code:
            yield f"{node.name}: {node.verdict}: {'; '.join(node.reasons) or node.state}"
    if found.second:
        ran = found.second
        yield from ran.report.summary if ran.report else ()
        yield from [f"multi-process run: {ran.why}"] if ran.why else []
    yield f"{found.verdict}: {plan.out / 'fleet.html'}"
