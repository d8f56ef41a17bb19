"""The task `smoke`: here, in a container, or on a cluster."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import DRY_RUN, PROFILE, command, perform, require


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
    perform("smoke_command", locals())
