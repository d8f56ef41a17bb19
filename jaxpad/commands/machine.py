"""What the commands take that are about machines: smoke, health, multi, fleet, build and more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.commands.options import (
    DRY_RUN,
    ENGINES,
    JSON,
    PLATFORM,
    PLATFORMS,
    PROFILE,
    THRESHOLDS,
    option,
    rest,
    setting,
    settings,
)

_NODES = "on a cluster (--on slurm, --on kubernetes)"
_SLURM = "on Slurm"
_KUBERNETES = "on Kubernetes"
_REPORT = "the report"


def _expect() -> Any:
    """`--expect N`, as `smoke` and `health` take it."""
    return option(
        "how many GPUs there should be; fewer fail",
        None,
        least=0,
        most=99999,
        noun="a whole number of GPUs",
    )


@dataclass(frozen=True)
class SmokeOptions:
    """The suite on this machine; in a container; on a cluster."""

    profile: str = option(f"run under {PROFILE}")
    platform: str = option(PLATFORM, "auto", choices=PLATFORMS)
    expect: int | None = _expect()
    k: str = option("run only the checks this expression names, as pytest's -k", value="EXPRESSION")
    limit: float = option(
        "seconds one check may take before it counts as hung",
        180.0,
        least=0.1,
        noun="a number of seconds",
        value="SECONDS",
    )
    thresholds: Path | None = option(THRESHOLDS, None, value="FILE")
    strict: bool = option("a shortfall that is explained, as by a power cap, fails too", False)
    allow: tuple[str, ...] = option(
        "variables that change what JAX means and are meant to, as JAX_ENABLE_X64; default: as "
        "the project chose",
        factory=lambda: settings("variables"),
        value="NAMES",
    )
    dry_run: bool = option(DRY_RUN, False)
    out: Path = option(
        "folder for smoke.json, junit.xml and report.html",
        Path("smoke-report"),
        value="FOLDER",
        group=_REPORT,
    )
    json: bool = option("print smoke.json on stdout", False, group=_REPORT)
    no_redact: bool = option(
        "keep user names, UUIDs and credentials in the report", False, group=_REPORT
    )
    on: str = option(
        "docker or podman: inside the image; slurm or kubernetes: on nodes; default: here",
        value="PLACE",
        group="elsewhere",
    )
    image: str = option(
        "with --on: the image or .sif file; docker's default: the newest made here",
        group="elsewhere",
    )
    gpus: str = option("with --on: all, none or a list such as 0,1", group="elsewhere")
    nodes: int | None = option(
        "how many nodes", None, least=1, noun="a whole number of nodes", group=_NODES
    )
    nodelist: str = option("these nodes, as n[0-3],n7", group=_NODES, value="NODES")
    exclude: str = option("not these nodes", group=_NODES, value="NODES")
    gpus_per_node: int | None = option(
        "GPUs of each node; 0 for none", None, least=0, noun="a whole number of GPUs", group=_NODES
    )
    processes: str = option(
        "one process for each; Kubernetes: node; default: gpu",
        choices=("gpu", "node"),
        group=_NODES,
    )
    time: str = option("time limit of each job, as 00:15:00", group=_NODES)
    wait: float | None = option(
        "seconds a node may keep us waiting before it is not tested; default: 600",
        None,
        least=0,
        noun="a number of seconds",
        value="SECONDS",
        group=_NODES,
    )
    pairwise: bool = option(
        "also every pair of nodes by itself, to find the bad link", False, group=_NODES
    )
    extra: tuple[str, ...] = option(
        "more options of sbatch or kubectl, as one word", (), group=_NODES, value="WORDS"
    )
    partition: str = option("in this partition", group=_SLURM)
    account: str = option("on this account", group=_SLURM)
    reservation: str = option("in this reservation", group=_SLURM)
    runtime: str = option(
        "container runtime of the nodes; default: none",
        choices=("none", "pyxis", "apptainer"),
        group=_SLURM,
    )
    namespace: str = option("the namespace", group=_KUBERNETES)
    pull_secret: str = option(
        "the secret to pull the image with", group=_KUBERNETES, value="SECRET"
    )
    jobset: bool = option("a JobSet instead of an Indexed Job", False, group=_KUBERNETES)


@dataclass(frozen=True)
class DoctorOptions:
    """The host's driver, engines and toolkit."""

    image: str = option("an image whose CUDA the driver must be new enough for")
    engine: str = option("the engine to ask; default: both", choices=ENGINES)
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class HealthOptions:
    """A node's GPUs, without load."""

    expect: int | None = _expect()
    idle: bool = option("nobody should be at work: judge processes and memory in use, too", False)
    thresholds: Path | None = option(THRESHOLDS, None, value="FILE")
    textfile: Path | None = option(
        "also write metrics into this .prom file, for node_exporter",
        None,
        value="FILE",
        group="output",
    )
    nagios: bool = option("print one line, and exit with Nagios's codes", False, group="output")
    json: bool = option(JSON, False, group="output")
    no_redact: bool = option("keep UUIDs, process names and paths", False, group="output")
    hook: str = option(
        "as Slurm calls it; fails only for a fault seen",
        choices=("healthcheck", "prolog", "epilog"),
        group="as a hook of Slurm's",
    )
    drain: bool = option(
        "with --hook healthcheck: drain the node for a fault that was seen",
        False,
        group="as a hook of Slurm's",
    )


@dataclass(frozen=True)
class RecordOptions:
    """A recording of NVML's answers."""

    out: Path = option("the file to write", Path("nvml-recording.toml"), value="FILE")
    json: bool = option("print it as JSON on stdout, write nothing", False)


@dataclass(frozen=True)
class PodOptions:
    """A command in a pod, or a pod's log on stdin."""

    seconds: int | None = option(
        "ask the command to end after this time; its report still comes",
        None,
        least=1,
        most=9999999,
        noun="a whole number of seconds",
    )
    bounds: str = option("the content of the command's --thresholds file", value="TEXT")
    read: bool = option("run nothing: print what the log of a pod on stdin holds", False)
    command: tuple[str, ...] = rest()


@dataclass(frozen=True)
class MultiOptions:
    """One process's part of a run on several nodes, or the merge of an earlier one."""

    out: str = option(
        "folder for rank-<i>.json, shared by the processes if there is such a folder",
        "multi-report",
        value="FOLDER",
    )
    expect_processes: int | None = option(
        "how many processes there should be; default: as the scheduler says",
        None,
        least=1,
        noun="a whole number of processes",
    )
    expect_devices: int | None = option(
        "how many devices each process should have",
        None,
        least=1,
        noun="a whole number of devices",
    )
    platform: str = option(PLATFORM, "auto", choices=PLATFORMS)
    limit: float = option(
        "seconds a stage may take before the process counts as hung",
        180.0,
        least=0.1,
        noun="a number of seconds",
        value="SECONDS",
    )
    join: float = option(
        "seconds to wait for all processes to be there",
        60.0,
        least=0.1,
        noun="a number of seconds",
        value="SECONDS",
    )
    thresholds: Path | None = option(THRESHOLDS, None, value="FILE")
    pairwise: bool = option(
        "also every pair of nodes by itself, to find the bad node or link", False
    )
    read: bool = option(
        "run nothing: say what the processes of an earlier run wrote into --out", False
    )
    json: bool = option(f"{JSON}, after the word jaxpad-multi:", False)


@dataclass(frozen=True)
class FleetOptions:
    """The reports of many nodes."""

    reports: str = option(
        "the folder that holds one folder a node, named for it, with its smoke.json",
        value="FOLDER",
    )
    out: Path = option("folder for fleet.json and fleet.html", Path("fleet-report"), value="FOLDER")
    expect: str = option("nodes that should be there: n[0-3],n7 or a file of names", value="NODES")
    gpus: int | None = option(
        "how many GPUs each node should have; fewer fail; default: as most nodes have",
        None,
        least=0,
        noun="a whole number of GPUs",
    )
    scheduler: str = option(
        "whose lines drain a node; default: the one found here", choices=("slurm", "kubernetes")
    )
    thresholds: Path | None = option(THRESHOLDS, None, value="FILE")
    textfile: Path | None = option(
        "also write metrics into this .prom file, for node_exporter", None, value="FILE"
    )
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class ReportOptions:
    """A run's folder."""

    dir: Path = option(
        "the folder that holds smoke.json, and traces.json if there is one",
        Path("smoke-report"),
        value="FOLDER",
    )


@dataclass(frozen=True)
class KernelOptions:
    """A Jupyter kernel."""

    profile: str = option(f"the kernel runs under it: {PROFILE}")
    dry_run: bool = option("print the file, write nothing", False)
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class BuildOptions:
    """An image."""

    base: str = option(
        "toolbox (NVIDIA JAX-Toolbox) or wheels (released CUDA wheels); default: toolbox, or "
        "what the project chose",
        factory=lambda: setting("base"),
        choices=("toolbox", "wheels"),
    )
    cuda: str = option(
        "CUDA major version; default: the one the base carries", choices=("12", "13")
    )
    profile: str = option(
        "the XLA profile that the image sets by default, a name in configs/profiles",
        factory=lambda: setting("profile"),
    )
    target: str = option("what to build", "workspace", choices=("workspace", "jupyter"))
    tag: str = option("name of the image; default: <project>:<version>-<base>-cuda<major>")
    ca_bundle: str = option(
        "certificates to trust while building, as behind a proxy; not kept", value="FILE"
    )
    push: str = option("also push the image under this reference", value="REFERENCE")
    sif: str = option("also convert it into this Apptainer file", value="FILE")
    engine: str = option("the engine; default: the first that answers", choices=ENGINES)
    network: str = option("network of the build's steps, as the engine's --network")
    dry_run: bool = option(DRY_RUN, False)


@dataclass(frozen=True)
class LaunchOptions:
    """A workspace."""

    image: str = option("an image or a .sif file; default: the newest that build has made here")
    profile: str = option("an XLA profile of the image")
    jupyter: bool = option("JupyterLab on this machine's loopback, with a token of its own", False)
    engine: str = option(
        "docker, podman or apptainer; default: the first that answers", value="ENGINE"
    )
    gpus: str = option("all, none or a list such as 0,1; default: all where this machine shows one")
    mount: str = option("folder to work in; default: the current one", value="FOLDER")
    shm_size: str = option("size of /dev/shm; default: 8g", value="SIZE")
    ipc_host: bool = option("share the host's /dev/shm instead", False)
    port: int = option(
        "Jupyter's port on this machine; default: the first free one from 8888",
        0,
        least=1,
        most=65535,
        noun="a port",
    )
    ca_bundle: str = option(
        "certificates that pip in the container trusts, as behind a proxy", value="FILE"
    )
    network: str = option("the engine's --network")
    dry_run: bool = option(DRY_RUN, False)
    command: tuple[str, ...] = rest()
