"""`smoke` as it is typed: here, inside the image, or on the nodes of a cluster."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console

from jaxpad import fleet, profiles
from jaxpad.clusters import kube, slurm, slurm_plan
from jaxpad.clusters.kube import Plan as KubernetesPlan, Suite as KubernetesSuite
from jaxpad.clusters.request import (
    KUBERNETES_ONLY,
    SLURM_ONLY,
    TIME,
    WAIT_S,
    Cluster,
    check_time,
)
from jaxpad.clusters.slurm_plan import Plan, Suite
from jaxpad.commands.machine import SmokeOptions
from jaxpad.commands.options import declared
from jaxpad.containers import engine as containers
from jaxpad.containers.engine import Mount, Run, Wanted, choices
from jaxpad.core import bounds, paths, text
from jaxpad.core.results import UsageError
from jaxpad.smoke import local, local as checked
from jaxpad.smoke.local import Options

_PROFILES = "/run/jaxpad/profiles"
_BOUNDS = "/run/jaxpad/bounds"


def smoke_in(options: Options, wanted: Wanted) -> int:
    """Run the suite in a container and return its exit code, which is the suite's own.

    Raises UsageError for bad options, no engine, no image, GPUs that cannot be had.
    """
    checked.require_platform(options.platform)
    bounds.load(options.thresholds)
    if not (wanted.engine or wanted.image):
        raise UsageError("--gpus chooses what a container is given: name an engine with --on")
    wanted = replace(wanted, gpus=_image_gpus(options, wanted))
    engine = containers.engine_for(wanted)
    run = request(options, containers.container(wanted, containers.image_for(wanted, engine)))
    argv = engine.run_argv(run)
    if options.dry_run:
        sys.stdout.write(shlex.join(argv) + "\n")
        return 0
    containers.make_private(run.mounts[0].source)
    local.make(options.out)
    return containers.ended(engine, run, containers.follow(argv))


def _image_gpus(options: Options, wanted: Wanted) -> str:
    """A CPU run is given no GPU, a GPU run all of them, whatever this machine shows."""
    return wanted.gpus or {"cpu": "none", "gpu": "all"}.get(options.platform, "")


def request(options: Options, run: Run) -> Run:
    """The container that runs the suite; its report goes where it would go without one."""
    out = _inside(options.out)
    mounts = [*run.mounts, Mount(options.out.resolve(), str(Path("/workspace") / out))]
    words = ["--platform", options.platform, "--limit", f"{options.limit:g}", "--out", str(out)]
    if options.profile:
        name, more = _image_profile(options.profile)
        words, mounts = [*words, "--profile", name], [*mounts, *more]
    if options.thresholds:
        file = options.thresholds.resolve()
        words += ["--thresholds", f"{_BOUNDS}/{file.name}"]
        mounts = [*mounts, Mount(file, f"{_BOUNDS}/{file.name}", read_only=True)]
    words += ["--strict"] if options.strict else []
    words += [] if options.expect is None else ["--expect", str(options.expect)]
    words += ["--allow", shlex.join(options.allow)] if options.allow else []
    words += ["-k", options.select] if options.select else []
    words += ["--json"] if options.as_json else []
    words += [] if options.redact else ["--no-redact"]
    return replace(
        run,
        command=("jaxpad", "smoke", *words),
        mounts=tuple(mounts),
        workdir="/workspace",
        terminal=sys.stdin.isatty() and sys.stderr.isatty() and not options.as_json,
    )


def _inside(out: Path) -> Path:
    """The report's folder by the same name in the container, as far as that can be."""
    return out.resolve() if out.is_absolute() or ".." in out.parts else out


def _image_profile(profile: str) -> tuple[str, list[Mount]]:
    """A profile of the image by its name; a file of the caller's is taken along."""
    file = Path(profile)
    if file.suffix != ".toml":
        return profile, []
    if not file.is_file():
        raise UsageError(f"--profile {profile}: there is no such file")
    inside = f"{_PROFILES}/{file.name}"
    return inside, [Mount(file.resolve(), inside, read_only=True)]


# `smoke --on slurm`: the suite on every node by itself, then one run over all that passed.


def smoke_slurm(options: Options, wanted: Cluster) -> int:
    """Test the nodes and return the fleet's exit code.

    Raises UsageError for bad options, and where there is no Slurm or no such node.
    """
    plan = planned(options, wanted)
    slurm_plan.require()
    choice = slurm_plan.survey(wanted)
    if options.dry_run:
        _say(f"{name}: would not be tested: {why}" for name, why in choice.not_tested.items())
        sys.stdout.write("".join(f"{line}\n" for line in slurm_plan.commands(plan, choice)))
        return 0
    with checked.claimed(plan.out):
        found = slurm.whole(plan, choice)
        unwritten = fleet.kept(found.fleet, plan.out, more=_multi(found, "multi/multi.json"))
    _tell(found, plan, options)
    sys.stderr.write(unwritten)
    return found.exit_code


def _multi(found: slurm.Whole, name: str) -> dict[str, str]:
    """The file of the multi-process run, where there was one."""
    report = found.second.report if found.second else None
    return {name: json.dumps(report.to_json(), indent=1)} if report else {}


def planned(options: Options, wanted: Cluster) -> Plan:
    """The run that the options ask for; a mistake in them is told before anything runs."""
    _refuse(wanted)
    out = options.out.resolve()  # every node must have it by this path, too
    suite = Suite(
        platform=checked.platform(options.platform, wanted),
        limit=checked.limit(options.limit),
        profile=_slurm_profile(options.profile),
        select=checked.select(options.select, *_suite(wanted)),
        thresholds=_slurm_bounds(options.thresholds),
        strict=options.strict,
        redact=options.redact,
        expect=_expected(options, wanted),
        allow=options.allow,
    )
    name = f"jaxpad-{secrets.token_hex(4)}"
    box = slurm_plan.inside(wanted, suite, out, os.environ)
    return Plan(name, wanted, suite, out, box, dict(os.environ))


def _expected(options: Options, wanted: Cluster) -> int | None:
    """How many GPUs each node should have; a job that asks for fewer could not see them."""
    asked, given = options.expect, wanted.gpus_per_node
    if asked is not None and given is not None and asked > given:
        raise UsageError(
            f"--expect {asked} of a job with --gpus-per-node {given}: ask for {asked} of each node"
        )
    return asked


def _refuse(wanted: Cluster) -> None:
    for name in KUBERNETES_ONLY:
        if getattr(wanted, name):
            raise UsageError(f"--{name.replace('_', '-')} is for --on kubernetes, not slurm")


def _suite(wanted: Cluster) -> tuple[Path, ...]:
    """Where the nodes' checks are from: an image has its own."""
    return paths.folders("smoke_tests") if wanted.runtime == "none" else ()


def _slurm_profile(profile: str | None) -> str | None:
    """A name, or the whole path of a file: the nodes start in another folder."""
    if profile is None:
        return None
    profiles.load(profile)
    return str(Path(profile).resolve()) if profile.endswith(".toml") else profile


def _slurm_bounds(thresholds: Path | None) -> Path | None:
    bounds.load(thresholds)
    return thresholds.resolve() if thresholds else None


def _tell(found: slurm.Whole, plan: Plan, options: Options) -> None:
    """What an admin needs to know; `--json` prints fleet.json."""
    _together(found)
    fleet.summary(found.fleet, Console(stderr=True), "slurm", plan.out)
    _json(found, options)


def _together(found: slurm.Whole) -> None:
    """The multi-process run, as far as it came."""
    ran = found.second
    if ran:
        lines = [*(ran.report.summary if ran.report else ()), *filter(None, [ran.why])]
        _say(["", "Multi-process run", *lines])


def _say(lines: Iterable[str]) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


# `smoke --on kubernetes`: the suite on every node by itself, then one run over all that passed.


def smoke_kubernetes(options: Options, wanted: Cluster) -> int:
    """Test the nodes and return the fleet's exit code.

    Raises UsageError for bad options, and where there is no kubectl, no cluster or no right.
    """
    plan = planned_kubernetes(options, wanted)
    if options.dry_run:
        sys.stdout.write(kube.dry_run(plan))
        return 0
    kube.require()
    with checked.claimed(plan.out):
        found = kube.whole(plan)
        more = _multi(found, "multi.json")
        unwritten = fleet.kept(found.fleet, plan.out, scheduler="kubernetes", more=more)
    for line in _lines(found, plan):
        sys.stderr.write(f"{line}\n")
    _json(found, options)
    sys.stderr.write(unwritten)
    return found.exit_code


def _json(found: slurm.Whole, options: Options) -> None:
    if options.as_json:
        json.dump(fleet.to_json(found.fleet), sys.stdout, indent=1)
        sys.stdout.write("\n")


def planned_kubernetes(options: Options, wanted: Cluster) -> KubernetesPlan:
    """The run that the options ask for; a mistake in them is told before anything runs."""
    _refuse_slurm_words(wanted)
    text.require_kubernetes_name("namespace", wanted.namespace)
    text.require_kubernetes_name("pull-secret", wanted.pull_secret)
    _require_image(wanted.image)
    platform = _platform(options.platform, wanted)
    suite = KubernetesSuite(
        platform=platform,
        limit=checked.limit(options.limit),
        profile=_kubernetes_profile(options.profile),
        select=checked.select(options.select),
        thresholds=_kubernetes_bounds(options.thresholds),
        strict=options.strict,
        redact=options.redact,
        expect=_expected(options, wanted),
        allow=options.allow,
    )
    name = f"jaxpad-{secrets.token_hex(4)}"
    gpus, chosen = _kubernetes_gpus(platform, wanted), _chosen(wanted)
    return KubernetesPlan(name, wanted, suite, options.out.resolve(), gpus, *chosen)


def _chosen(wanted: Cluster) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes to choose from, empty for any, and those to leave out."""
    without = fleet.expand(wanted.exclude) if wanted.exclude else ()
    named = fleet.expand(wanted.nodelist) if wanted.nodelist else ()
    for name in (*named, *without):
        text.require_kubernetes_name("nodelist" if name in named else "exclude", name)
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


def _kubernetes_gpus(platform: str, wanted: Cluster) -> int:
    if wanted.gpus_per_node is None and platform == "gpu":
        raise UsageError(
            "--on kubernetes needs --gpus-per-node, since a pod is given only the GPUs it asks "
            "for: say how many a node has, or 0 to compute on the CPU"
        )
    return wanted.gpus_per_node or 0


def _kubernetes_profile(profile: str | None) -> str | None:
    """One that is in the image, and not only here."""
    if profile and profile.endswith(".toml"):
        raise UsageError(
            f"--profile {profile} is a file of this machine, which pods do not see: put it into "
            "configs/profiles and build the image again"
        )
    return profiles.load(profile).name if profile else None


def _kubernetes_bounds(thresholds: Path | None) -> str | None:
    """The content of the file, which goes along in the command."""
    bounds.load(thresholds)
    return thresholds.read_text(encoding="utf-8") if thresholds else None


def _lines(found: slurm.Whole, plan: KubernetesPlan) -> Iterator[str]:
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


# The command: where the suite runs, and what is asked of it there.

CLUSTERS = {"slurm": smoke_slurm, "kubernetes": smoke_kubernetes}


def smoke_command(options: SmokeOptions) -> int:
    """Run the suite where it is asked for and return its exit code.

    Raises UsageError as `smoke`, `smoke_in` and the clusters do.
    """
    suite = _here(options)
    checked.allowed(suite.allow)
    if options.on in CLUSTERS:
        if options.gpus:
            raise UsageError("--gpus is for a container: on a cluster say --gpus-per-node")
        return CLUSTERS[options.on](suite, _cluster(options))
    if options.on and options.on not in choices():
        raise UsageError(text.unknown("place", options.on, (*choices(), *CLUSTERS)))
    if given := _only_clusters(options):
        raise UsageError(f"{given[0]} is for a cluster: add --on slurm or --on kubernetes")
    if not (options.on or options.image or options.gpus):
        return local.smoke(suite)
    wanted = Wanted(image=options.image, engine=options.on, gpus=options.gpus)
    return smoke_in(suite, wanted)


def _here(options: SmokeOptions) -> local.Options:
    return local.Options(
        profile=options.profile or None,
        platform=options.platform,
        select=options.k or None,
        out=options.out,
        limit=options.limit,
        as_json=options.json,
        dry_run=options.dry_run,
        redact=not options.no_redact,
        thresholds=options.thresholds,
        strict=options.strict,
        expect=options.expect,
        allow=options.allow,
    )


def _cluster(options: SmokeOptions) -> Cluster:
    """What the options say of nodes."""
    return Cluster(
        nodes=options.nodes,
        nodelist=options.nodelist,
        exclude=options.exclude,
        reservation=options.reservation,
        partition=options.partition,
        account=options.account,
        time=check_time(options.time or TIME),
        gpus_per_node=options.gpus_per_node,
        processes=options.processes or "gpu",
        runtime=options.runtime or "none",
        wait_s=WAIT_S if options.wait is None else options.wait,
        pairwise=options.pairwise,
        extra=options.extra,
        namespace=options.namespace,
        pull_secret=options.pull_secret,
        jobset=options.jobset,
        image=options.image,
    )


def _only_clusters(options: SmokeOptions) -> tuple[str, ...]:
    """The given options that only a cluster knows, as typed."""
    known = {one.name for one in fields(Cluster)} - {"image", "wait_s"} | {"wait"}
    given = (one for one in declared(SmokeOptions) if one.name in known)
    return tuple(
        one.flag for one in given if getattr(options, one.name) not in ("", None, False, ())
    )
