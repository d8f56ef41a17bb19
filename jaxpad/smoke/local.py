"""`smoke`: run the suite here, write the report, say what to do next."""

from __future__ import annotations

import getpass
import json
import math
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from jaxpad import profiles, report
from jaxpad.clusters.request import Cluster
from jaxpad.core import bounds, paths
from jaxpad.core.files import claimed as claimed
from jaxpad.core.paths import SMOKE_TESTS
from jaxpad.core.results import COUNT, UsageError
from jaxpad.machine import devices
from jaxpad.nvml import Trace
from jaxpad.report import Progress, Report
from jaxpad.smoke import child, collection, runner
from jaxpad.smoke.collection import Check, Plan, Watcher

# Checks of `smoke`'s options that hold wherever the suite runs.
#
# Each raises UsageError, before anything runs.


def limit(seconds: float) -> float:
    """Seconds of each check."""
    if not 0 < seconds < math.inf:
        raise UsageError(f"--limit {seconds:g} is not a time: give seconds above 0")
    return seconds


def select(expression: str | None, *suite: Path) -> str | None:
    """What `-k` chooses, which is at least one check, of the shipped ones or in `suite`."""
    collection.select(collection.collect(*(suite or (SMOKE_TESTS,))), expression)
    return expression


def _meant(names: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    """What the report says of them."""
    for name in names:
        if name in environ:
            words = "allowed: jaxpad's own checks ran without it, the project's with it"
            yield f"{name}={environ[name]} ({words})"


allowed = child.allowed  # of `--allow`, wherever the suite runs


def require_platform(requested: str) -> None:
    """Raises UsageError for a platform that is none."""
    devices.require(requested)


def platform(requested: str, wanted: Cluster) -> str:
    """`auto` means gpu: a node of a cluster that lacks its GPUs is broken."""
    require_platform(requested)
    if requested != "auto":
        return requested
    return "cpu" if wanted.gpus_per_node == 0 else "gpu"


def make(out: Path) -> None:
    """The report's folder; an engine for containers would make it as root."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be made: {error.strerror}") from error


T = TypeVar("T", Report, Trace)


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    profile: str | None = None
    platform: str = "auto"
    select: str | None = None
    out: Path = Path("smoke-report")
    limit: float = collection.LIMIT
    as_json: bool = False
    dry_run: bool = False
    redact: bool = True
    thresholds: Path | None = None
    strict: bool = False
    expect: int | None = None  # how many GPUs there should be
    allow: tuple[str, ...] = ()  # variables that may change what JAX means


def smoke(options: Options, suite: Path | None = None) -> int:
    """Run the suite as `options` say and return the exit code.

    The suite is the shipped checks and the project's, or the folder that is given.

    Raises UsageError for bad options before anything runs or is written.
    """
    folders = (suite,) if suite else paths.folders("smoke_tests")
    plan = plan_for(options, os.environ, *folders)
    sys.stderr.write("".join(f"{note}\n" for note in told(plan)))
    if options.dry_run:
        sys.stdout.write("\n".join(commands(plan)) + "\n")
        return 0
    with claimed(options.out):
        found, unwritten = _run(plan, options)
    if options.as_json:
        json.dump(report.to_json(found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    sys.stderr.write(unwritten)
    return runner.exit_code(found)


def plan_for(options: Options, environ: Mapping[str, str], *suite: Path) -> Plan:
    """The run that `options` ask for in `environ`.

    Raises UsageError for an unknown profile, platform, selection, limit or bound.
    """
    require_platform(options.platform)
    limit(options.limit)
    bounds.load(options.thresholds)  # a mistake in it is told before anything runs
    _need_temporary_folder()
    checks = _chosen(collection.collect(*suite), options)
    profile = profiles.load(options.profile) if options.profile else None
    composed = profiles.compose(profile, environ, devices.installed().get("jaxlib", "0"))
    return Plan(
        checks=checks,
        environ=composed.environ,
        origins=tuple((flag.name, flag.value or "", flag.origin) for flag in composed.origins),
        command=_command(sys.argv),
        requested=options.platform,
        profile=profile.name if profile else None,
        limit=options.limit,
        thresholds=str(options.thresholds) if options.thresholds else None,
        strict=options.strict,
        expect=options.expect,
        allow=child.allowed(options.allow),
        names=not options.redact,
        notes=(*_notes(checks, profile), *_meant(options.allow, environ)),
    )


def _chosen(checks: Sequence[Check], options: Options) -> tuple[Check, ...]:
    """What `-k` names; with `--expect` also the check that counts, or nobody would."""
    found = collection.select(checks, options.select)
    counts = options.expect is not None
    return tuple(one for one in checks if one in found or (counts and one.id == COUNT))


def _notes(checks: Sequence[Check], profile: profiles.Profile | None) -> tuple[str, ...]:
    """What is the project's, for the report: no path of this machine."""
    named = {f"profile {profile.name}": profile.path} if profile else {}
    files = {f"checks in {check.file.name}": check.file for check in checks}
    return paths.notes(named | files)


def told(plan: Plan) -> Iterator[str]:
    """The first lines of a run in a project: whose folder the checks are from, and which."""
    folders = {check.file.parent for check in plan.checks if paths.owner(check.file) == "project"}
    yield from (f"Running the project's checks, too, from {folder}" for folder in sorted(folders))
    yield from (f"  {note}" for note in plan.notes)


def _need_temporary_folder() -> None:
    try:
        tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UsageError(
            f"{error.strerror}; free space, or set TMPDIR to a folder that has some"
        ) from error


def _command(argv: Sequence[str]) -> tuple[str, ...]:
    """What was typed, so that it can be typed again."""
    typed = os.environ.get("JAXPAD_STARTED_AS")  # by jaxpad.bootstrap
    if typed:
        program = shlex.split(typed)
    elif argv[0].endswith("__main__.py"):
        program = [sys.executable, "-m", "jaxpad"]
    else:
        program = [argv[0]]
    return (*program, *argv[1:])


def commands(plan: Plan) -> Iterator[str]:
    """The command of each check file, pasteable into a shell.

    What the runner adds of its own (the pipe, the facts) is left out: a check file
    run by hand gathers its own facts.
    """
    changed = {k: v for k, v in plan.environ.items() if os.environ.get(k) != v}
    settings = [f"{name}={value}" for name, value in sorted(changed.items())]
    for file, checks in groupby(plan.checks, key=lambda check: check.file):
        argv = child.argv(file.parent, [check.node for check in checks])
        yield shlex.join([*(["env", *settings] if settings else []), *argv])


def _run(plan: Plan, options: Options) -> tuple[Report, str]:
    """The report, and why it lies in no folder, if that is so: its last writing failed."""
    console = Console(stderr=True)
    written, unwritten = False, ""

    def write(found: Report, trace: Trace | None, last: bool) -> None:
        """Each report so far; pictures take their time and come with the last one.

        The folder may be taken away meanwhile, or the disk be full: only before anything has
        run is that the end.
        """
        nonlocal written, unwritten
        traces = _tidy(trace, options) if trace else None
        try:
            report.write(_tidy(found, options), options.out, traces, pictures=last)
            written, unwritten = True, ""
        except UsageError as error:
            if not written:
                raise
            unwritten = f"jaxpad: {error}; what was found is above\n"

    with Progress(total=len(plan.checks), console=console) as progress:
        watcher = Watcher(
            expected=lambda expected: console.print(expected.sentence, highlight=False),
            settling=lambda: progress.started("waiting until the GPUs are at rest"),
            started=lambda check: progress.started(f"{check.file.name}::{check.name}"),
            finished=progress.finished,
            checked=write,
        )
        found = runner.run(plan, watcher)
    report.summary(found, console, options.out)  # to the user's own terminal: nothing hidden
    return _tidy(found, options), unwritten


def _tidy(found: T, options: Options) -> T:
    if not options.redact:
        return found
    return report.redact(found, user=_user(), home=os.environ.get("HOME"))


def _user() -> str | None:
    """The caller's name; None for a uid that has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
