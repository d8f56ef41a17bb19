"""The `fleet` command: a folder of node reports in; a verdict, two files and metrics out."""

from __future__ import annotations

import json as json_
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from jaxpad import fleet, report as reports
from jaxpad.commands.machine import FleetOptions, ReportOptions
from jaxpad.core import bounds, files
from jaxpad.core.codec import loads
from jaxpad.core.results import UsageError
from jaxpad.core.text import brief_list
from jaxpad.fleet import SCHEDULERS, Fleet

PROGRAMS = {"scontrol": "slurm", "kubectl": "kubernetes"}


def fleet_command(options: FleetOptions) -> int:
    """Merge, write, print, and return the fleet's exit code.

    Raises UsageError for a mistake in the options, before anything is read.
    """
    if not options.reports:
        raise UsageError("--reports is missing: give the folder that holds one folder a node")
    scheduler = _scheduler(options.scheduler)
    expected = fleet.expected(options.expect) if options.expect else ()
    limits = bounds.load(options.thresholds)
    if options.textfile:
        files.require_textfile(options.textfile)
    reports = Path(options.reports)
    fleet.require(reports)
    with files.claimed(options.out):
        found = fleet.merge(reports, expected=expected, gpus=options.gpus, bounds=limits)
        unwritten = _write(found, options, scheduler)
    _print(found, options, scheduler)
    sys.stderr.write(unwritten)
    return found.verdict.exit_code


def _write(found: Fleet, options: FleetOptions, scheduler: str) -> str:
    """Why a file could not be written, in a line each: it costs no verdict."""
    said = fleet.kept(found, options.out, scheduler=scheduler)
    if options.textfile:
        said += files.write_textfile(fleet.prometheus(found, time.time()), options.textfile)
    return said


def _scheduler(asked: str) -> str:
    """The one asked for, else the first whose program is here, else Slurm."""
    here = (name for program, name in PROGRAMS.items() if shutil.which(program))
    return asked or next(here, SCHEDULERS[0])


def _print(found: Fleet, options: FleetOptions, scheduler: str) -> None:
    if options.json:
        json_.dump(fleet.to_json(found), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        fleet.summary(found, Console(), scheduler, options.out)


# The `report` command: report.html and junit.xml from smoke.json and traces.json.

AGAIN = "take the file as jaxpad wrote it, or run the smoke suite again"


def report_command(options: ReportOptions) -> int:
    """Write the page and return 0, whatever the verdict: nothing was checked.

    smoke.json and traces.json stay as they are.

    Raises UsageError for a folder without smoke.json, and for a file that is damaged or of
    another schema.
    """
    folder = options.dir
    report = _report(folder / "smoke.json")
    traces = folder / "traces.json"
    trace = reports.traces_from_json(_read(traces)) if os.path.lexists(traces) else None
    with files.claimed(folder):
        page = reports.render(report, folder, trace)
    sys.stderr.write(f"written: {page}\n")
    return 0


def _report(file: Path) -> reports.Report:
    """One that is what it says it is: a page of another verdict than the file's would fix it."""
    content = _read(file)
    report = reports.from_json(content)
    if content.get("verdict") != report.verdict:
        said = brief_list(str(content.get("verdict")), 40)
        raise UsageError(
            f"{file} says {said!r} where its checks come to {report.verdict.value!r}; {AGAIN}"
        )
    return report


def _read(file: Path) -> Any:
    try:
        return loads(files.read_plain(file).decode("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no {file}; name the folder of a smoke run with --dir") from None
    except OSError as error:
        raise UsageError(f"cannot read {file} ({error.strerror}); name another folder") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        raise UsageError(f"{file} is damaged ({error}); {AGAIN}") from None
