"""The task that merges node reports: `fleet`."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import JSON, command, perform


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
    perform("fleet_command", locals())
