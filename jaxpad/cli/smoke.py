"""`smoke` as it is typed: here, inside the image, or on the nodes of a cluster."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

from jaxpad.cli.smoke_remote import smoke_in, smoke_kubernetes, smoke_slurm
from jaxpad.clusters.request import Cluster, cluster
from jaxpad.containers.workspace import Wanted
from jaxpad.core.results import UsageError
from jaxpad.smoke import local

CLUSTERS = ("slurm", "kubernetes")


@dataclass(frozen=True)
class Options:
    """The words of the command line; an empty one leaves it to us."""

    profile: str
    on: str
    image: str
    gpus: str
    platform: str
    k: str
    out: str
    limit: str
    thresholds: str
    strict: bool
    json: bool
    dry_run: bool
    no_redact: bool
    nodes: str = ""
    nodelist: str = ""
    exclude: str = ""
    reservation: str = ""
    partition: str = ""
    account: str = ""
    time: str = ""
    gpus_per_node: str = ""
    processes: str = ""
    runtime: str = ""
    wait: str = ""
    pairwise: bool = False
    extra: str = ""
    namespace: str = ""
    pull_secret: str = ""
    jobset: bool = False


def smoke_command(options: Options) -> int:
    """Run the suite where it is asked for and return its exit code.

    Raises UsageError as `smoke`, `smoke_in` and the clusters do.
    """
    suite = local.Options(
        profile=options.profile or None,
        platform=options.platform,
        select=options.k or None,
        out=Path(options.out),
        limit=local.seconds(options.limit),
        as_json=options.json,
        dry_run=options.dry_run,
        redact=not options.no_redact,
        thresholds=Path(options.thresholds) if options.thresholds else None,
        strict=options.strict,
    )
    if options.on in CLUSTERS:
        if options.gpus:
            raise UsageError("--gpus is for a container: on a cluster say --gpus-per-node")
        run = {"slurm": smoke_slurm, "kubernetes": smoke_kubernetes}[options.on]
        return run(suite, _cluster(options))
    _refuse_cluster_words(options)
    if not (options.on or options.image or options.gpus):
        return local.smoke(suite)
    wanted = Wanted(image=options.image, engine=options.on, gpus=options.gpus)
    return smoke_in(suite, wanted)


def _words(options: Options) -> dict[str, str | bool]:
    """The options that only a cluster knows."""
    every = asdict(options)
    known = {field.name for field in fields(Options)} & {*(f.name for f in fields(Cluster)), "wait"}
    return {name: every[name] for name in known - {"image"}}


def _cluster(options: Options) -> Cluster:
    return cluster(_words(options), options.image)


def _refuse_cluster_words(options: Options) -> None:
    given = sorted(name.replace("_", "-") for name, value in _words(options).items() if value)
    if given:
        raise UsageError(f"--{given[0]} is for a cluster: add --on slurm or --on kubernetes")
