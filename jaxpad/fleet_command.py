"""The `fleet` command: a folder of node reports in; a verdict, two files and metrics out."""

from __future__ import annotations

import json as json_
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from jaxpad import bounds, fleet, textfile as textfiles
from jaxpad.errors import UsageError
from jaxpad.fleet import SCHEDULERS, Fleet

PROGRAMS = {"scontrol": "slurm", "kubectl": "kubernetes"}


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    reports: str = ""
    out: str = "fleet-report"
    expect: str = ""
    scheduler: str = ""
    thresholds: str = ""
    textfile: str = ""
    json: bool = False


def fleet_command(options: Options) -> int:
    """Merge, write, print, and return the fleet's exit code.

    Raises UsageError for a mistake in the options, before anything is read.
    """
    if not options.reports:
        raise UsageError("--reports is missing: give the folder that holds one folder a node")
    scheduler = _scheduler(options.scheduler)
    expected = fleet.expected(options.expect) if options.expect else ()
    limits = bounds.load(Path(options.thresholds) if options.thresholds else None)
    found = fleet.merge(Path(options.reports), expected=expected, bounds=limits)
    fleet.write(found, Path(options.out), scheduler=scheduler)
    if options.textfile:
        textfiles.write(fleet.prometheus(found, time.time()), Path(options.textfile))
    _print(found, options, scheduler)
    return found.verdict.exit_code


def _scheduler(asked: str) -> str:
    """The one asked for, else the first whose program is here, else Slurm."""
    if asked and asked not in SCHEDULERS:
        raise UsageError(f"--scheduler {asked!r} is none; give {' or '.join(SCHEDULERS)}")
    here = (name for program, name in PROGRAMS.items() if shutil.which(program))
    return asked or next(here, SCHEDULERS[0])


def _print(found: Fleet, options: Options, scheduler: str) -> None:
    if options.json:
        json_.dump(fleet.to_json(found), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        fleet.summary(found, Console(), scheduler, Path(options.out))
