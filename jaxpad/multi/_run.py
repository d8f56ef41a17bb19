"""`jaxpad multi`: what each process of a job runs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from jaxpad import bounds, devices, facts, host, platforms, profiles
from jaxpad.errors import UsageError
from jaxpad.multi import _keep
from jaxpad.multi._child import start, told_end
from jaxpad.multi._disturb import Disturb
from jaxpad.multi._expected import Expected
from jaxpad.multi._merge import merge
from jaxpad.multi._options import Options, Wanted, wanted
from jaxpad.multi._place import Place, find, local_devices
from jaxpad.multi._read import MARK
from jaxpad.multi._record import End, Identity, Record, Stage
from jaxpad.multi._summary import of_record
from jaxpad.multi._teller import Teller
from jaxpad.multi._watch import Watcher
from jaxpad.multi._world import Job

__all__ = ["MARK", "main", "show"]

_NONE = Disturb()
_JOIN_MORE_S = 1.0  # for a limit of JAX's or of ours to come first, with its own words


def main(
    options: Options, environ: Mapping[str, str] = os.environ, disturb: Disturb = _NONE
) -> int:
    """Run this process's part and return its exit code: 0, 1, 3.

    Raises UsageError where this is no process of a job, or an option is none.
    """
    if options.read:
        return show(options)
    asked, place = wanted(options), find(environ)
    keep = _keeper(_keep.folder(Path(options.out)).resolve())

    def now() -> float:
        return time.time() + disturb.clock_s

    first = _first(place, disturb.identity(identity(environ)), now())
    try:
        job = _job(options, asked, place, environ, disturb)
    except UsageError as error:
        keep(replace(first, end=End("raised", str(error), now())))
        raise
    keep(first)
    child = start(lambda pipe: _work(job, first, pipe, now))
    record = Watcher(child, first, keep, _limit(job.wanted), now).until_end()
    _print([f"{MARK}{_keep.text(record)}"] if options.json else of_record(record))
    return record.verdict.exit_code


def _job(
    options: Options, asked: Wanted, place: Place, environ: Mapping[str, str], disturb: Disturb
) -> Job:
    gpus, driver = host.gpu_evidence(), facts.read_driver(environ)
    expected = platforms.expect(options.platform, environ, gpus, driver)
    return Job(
        place=place,
        wanted=asked,
        expected=expected,
        gpus=gpus,
        driver=driver,
        bounds=bounds.load(Path(options.thresholds) if options.thresholds else None),
        local_devices=local_devices(place, environ) if expected.platform == "gpu" else None,
        pairwise=options.pairwise,
        out=Path(options.out).resolve(),
        environ=environ,
        disturb=disturb,
    )


def _first(place: Place, identity: Identity, now: float) -> Record:
    """The record before anything has been done."""
    return Record(
        rank=place.rank,
        processes=place.processes,
        node=place.node,
        pid=os.getpid(),
        launcher=place.launcher,
        began=now,
        run=place.run,
        nodes=() if place.local_rank else place.nodes,  # once for a node: it can be long
        identity=identity,
        stage=Stage(since=now),
    )


def identity(environ: Mapping[str, str]) -> Identity:
    """What this process runs with, and its peers should too."""
    return Identity(
        versions=devices.installed(),
        profile=profiles.in_force(environ),
        xla_flags=environ.get("XLA_FLAGS", "")[:8000],
    )


def _work(job: Job, first: Record, pipe: int, now: Callable[[], float]) -> None:
    from jaxpad.multi._work import work

    told_end(lambda tell: work(job, tell), Teller(first, pipe, now, job.disturb))


def _limit(asked: Wanted) -> Callable[[Stage], float]:
    """Seconds that a stage may take.

    Of the wait for all processes JAX has a limit of its own, but jaxlib 0.12 adds seconds to
    what it is told.
    """

    def limit(stage: Stage) -> float:
        return asked.join_s + _JOIN_MORE_S if stage.name == "join" else asked.limit_s

    return limit


def _keeper(folder: Path) -> Callable[[Record], None]:
    """A folder that is full or gone must not end the run: its log still says how it went."""

    def keep(record: Record) -> None:
        try:
            _keep.keep(folder, record)
        except OSError as error:
            sys.stderr.write(f"jaxpad: {folder} cannot be written: {error.strerror}\n")

    return keep


def show(options: Options) -> int:
    """Say what the processes of an earlier run wrote, and return the exit code of it all."""
    asked = wanted(options)
    platform = options.platform if options.platform != "auto" else ""
    report = merge(Path(options.out), Expected(asked.processes, asked.devices, platform))
    _print([json.dumps(report.to_json(), indent=2)] if options.json else report.summary)
    return report.exit_code


def _print(lines: Iterable[str]) -> None:
    """On stdout, whatever it can encode."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
