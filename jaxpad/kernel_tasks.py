"""The task `kernel`: for notebooks outside the image."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import JSON, PROFILE, command, perform, require


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
    perform("kernel", locals())
