"""The task `multi`: what each process of a job on several nodes runs."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import JSON, command, perform, require


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
    perform("multi_command", locals())
