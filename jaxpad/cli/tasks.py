"""The task `smoke`: here, in a container, or on a cluster."""

from __future__ import annotations

from invoke import Context

from jaxpad.cli.tasking import DRY_RUN, JSON, PROFILE, command, perform, remainder, require


@command(
    help={
        "profile": f"run under {PROFILE}",
        "on": "docker or podman: inside the image; slurm or kubernetes: on nodes; default: here",
        "image": "with --on: the image or .sif file; docker's default: the newest made here",
        "gpus": "with --on: all, none or a list such as 0,1",
        "platform": "where JAX must compute: auto, gpu or cpu",
        "k": "run only the checks this expression names, as pytest's -k",
        "out": "folder for smoke.json, junit.xml and report.html",
        "limit": "seconds one check may take before it counts as hung",
        "thresholds": "a TOML file that changes bounds, one `name = number` a line",
        "nodes": "slurm, kubernetes: how many nodes",
        "nodelist": "slurm, kubernetes: these nodes, as n[0-3],n7",
        "exclude": "slurm, kubernetes: not these nodes",
        "reservation": "slurm: in this reservation",
        "partition": "slurm: in this partition",
        "account": "slurm: on this account",
        "time": "slurm, kubernetes: time limit of each job, as 00:15:00",
        "gpus-per-node": "slurm, kubernetes: GPUs of each node; 0 for none",
        "processes": "slurm: one process for each gpu (the default) or node; kubernetes: node",
        "runtime": "slurm: none (the default), pyxis or apptainer",
        "wait": "slurm, kubernetes: seconds a node may keep us waiting before it is not tested",
        "pairwise": "also every pair of nodes by itself, to find the bad link",
        "extra": "slurm: more options of sbatch, as one word; kubernetes: of kubectl",
        "namespace": "kubernetes: the namespace",
        "pull-secret": "kubernetes: the secret to pull the image with",
        "jobset": "kubernetes: a JobSet instead of an Indexed Job",
        "strict": "a shortfall that is explained, as by a power cap, fails too",
        "json": "print smoke.json on stdout",
        "dry-run": DRY_RUN,
        "no-redact": "keep user names, UUIDs and credentials in the report",
    }
)
def smoke(
    _c: Context,
    profile: str = "",
    on: str = "",
    image: str = "",
    gpus: str = "",
    platform: str = "auto",
    k: str = "",
    out: str = "smoke-report",
    limit: str = "180",
    thresholds: str = "",
    strict: bool = False,
    nodes: str = "",
    nodelist: str = "",
    exclude: str = "",
    reservation: str = "",
    partition: str = "",
    account: str = "",
    time: str = "",
    gpus_per_node: str = "",
    processes: str = "",
    runtime: str = "",
    wait: str = "",
    pairwise: bool = False,
    extra: str = "",
    namespace: str = "",
    pull_secret: str = "",
    jobset: bool = False,
    json: bool = False,
    dry_run: bool = False,
    no_redact: bool = False,
) -> None:
    """Prove the JAX environment on this machine and write a report."""
    if not (on or image or gpus):  # elsewhere it is not this Python that computes
        require("smoke", "smoke")
    perform("jaxpad.cli.smoke:smoke_command", locals())


# The tasks of one machine: `doctor`, `health`, `nvml.record`, and `pod` for a cluster's.


@command(
    help={
        "image": "an image whose CUDA the driver must be new enough for",
        "engine": "docker or podman; default: both",
        "json": JSON,
    }
)
def doctor(_c: Context, image: str = "", engine: str = "", json: bool = False) -> None:
    """Say what this host lacks for GPU containers, and the remedy."""
    perform("jaxpad.doctor:doctor", locals())


@command(
    help={
        "expect": "how many GPUs there should be; fewer fail",
        "idle": "nobody should be at work: judge processes and memory in use, too",
        "thresholds": "a TOML file that changes bounds, one `name = number` a line",
        "textfile": "also write metrics into this .prom file, for node_exporter",
        "nagios": "print one line, and exit with Nagios's codes",
        "json": JSON,
        "no-redact": "keep UUIDs, process names and paths",
        "hook": "as Slurm calls it: healthcheck, prolog or epilog; fails only for a fault seen",
        "drain": "with --hook healthcheck: drain the node for a fault that was seen",
    }
)
def health(
    _c: Context,
    expect: str = "",
    idle: bool = False,
    thresholds: str = "",
    textfile: str = "",
    nagios: bool = False,
    json: bool = False,
    no_redact: bool = False,
    hook: str = "",
    drain: bool = False,
) -> None:
    """Say in seconds whether this node's GPUs are fit, without load."""
    perform("jaxpad.cli.health:health_command", locals())


@command(
    help={"out": "the file to write", "json": "print it as JSON on stdout, write nothing"},
    name="record",
)
def nvml_record(_c: Context, out: str = "nvml-recording.toml", json: bool = False) -> None:
    """Write down what NVML answers here, without names and serials, for tests to play back."""
    perform("jaxpad.cli.node:nvml_record", locals())


@command(
    help={
        "seconds": "ask the command to end after this time; its report still comes",
        "bounds": "the content of the command's --thresholds file",
        "read": "run nothing: print what the log of a pod on stdin holds",
    }
)
def pod(_c: Context, seconds: str = "", bounds: str = "", read: bool = False) -> None:
    """Run the jaxpad command behind `--`; its output comes out of a pod's log whole."""
    perform("jaxpad.cli.node:pod_command", locals(), command=remainder())


# The task `multi`: what each process of a job on several nodes runs.


@command(
    help={
        "out": "folder for rank-<i>.json, shared by the processes if there is such a folder",
        "expect-processes": "how many processes there should be; default: as the scheduler says",
        "expect-devices": "how many devices each process should have",
        "platform": "where JAX must compute: auto, gpu or cpu",
        "limit": "seconds a stage may take before the process counts as hung; default: 180",
        "join": "seconds to wait for all processes to be there; default: 60",
        "thresholds": "a TOML file that changes bounds, one `name = number` a line",
        "pairwise": "also every pair of nodes by itself, to find the bad node or link",
        "read": "run nothing: say what the processes of an earlier run wrote into --out",
        "json": JSON + ", after the word jaxpad-multi:",
    }
)
def multi(
    _c: Context,
    out: str = "multi-report",
    expect_processes: str = "",
    expect_devices: str = "",
    platform: str = "auto",
    limit: str = "",
    join: str = "",
    thresholds: str = "",
    pairwise: bool = False,
    read: bool = False,
    json: bool = False,
) -> None:
    """Prove a multi-process job, once per process: srun, a pod, or by hand."""
    require("multi", "smoke")
    perform("jaxpad.cli.node:multi_command", locals())


# The task that merges node reports: `fleet`.


@command(
    help={
        "reports": "the folder that holds one folder a node, named for it, with its smoke.json",
        "out": "folder for fleet.json and fleet.html",
        "expect": "nodes that should be there: n[0-3],n7 or a file of names",
        "scheduler": "whose lines drain a node: slurm or kubernetes; default: the one found here",
        "thresholds": "a TOML file that changes bounds, one `name = number` a line",
        "textfile": "also write metrics into this .prom file, for node_exporter",
        "json": JSON,
    }
)
def fleet(
    _c: Context,
    reports: str = "",
    out: str = "fleet-report",
    expect: str = "",
    scheduler: str = "",
    thresholds: str = "",
    textfile: str = "",
    json: bool = False,
) -> None:
    """Merge node reports: one verdict, whom to drain and why, who differs from its peers."""
    perform("jaxpad.cli.fleet:fleet_command", locals())


# The task that makes a report's page anew: `report`.


@command(help={"dir": "the folder that holds smoke.json, and traces.json if there is one"})
def report(_c: Context, dir: str = "smoke-report") -> None:  # noqa: A002 - the option's name
    """Make report.html and junit.xml anew from smoke.json and traces.json."""
    perform("jaxpad.cli.fleet:report_command", locals())


# The task `kernel`: for notebooks outside the image.


@command(
    help={
        "profile": f"the kernel runs under it: {PROFILE}",
        "dry-run": "print the file, write nothing",
        "json": JSON,
    }
)
def kernel(_c: Context, profile: str = "", dry_run: bool = False, json: bool = False) -> None:
    """Install a Jupyter kernel, for you, that runs in this environment."""
    require("kernel", "smoke")
    perform("jaxpad.cli.launch:kernel", locals())
