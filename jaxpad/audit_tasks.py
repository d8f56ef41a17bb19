"""The task `audit`: known vulnerabilities of what is pinned."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from jaxpad.paths import found
from jaxpad.tasking import JSON, command, perform, refusals


@command(
    help={
        "requirements": "the folder of the pins and of audit.toml; default: the checkout's own",
        "service": "whom to ask: pypi or osv",
        "osv-url": "with --service osv: its query address; default: the public one",
        "json": JSON,
    }
)
def audit(
    _c: Context,
    requirements: str = "",
    service: str = "pypi",
    osv_url: str = "",
    json: bool = False,
) -> None:
    """Say which pins have known vulnerabilities."""
    given = dict(locals())
    with refusals():
        given["requirements"] = Path(requirements or found("requirements"))
    perform("audit", given)
