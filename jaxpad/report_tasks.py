"""The task that makes a report's page anew: `report`."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import command, perform


@command(help={"dir": "the folder that holds smoke.json, and traces.json if there is one"})
def report(_c: Context, dir: str = "smoke-report") -> None:  # noqa: A002 - the option's name
    """Make report.html and junit.xml anew from smoke.json and traces.json."""
    perform("report_command", locals())
