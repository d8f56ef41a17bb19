"""`jaxpad multi`: what each process of a job runs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from jaxpad import profiles
from jaxpad.commands.machine import MultiOptions
from jaxpad.core import bounds, host
from jaxpad.core.results import UsageError
from jaxpad.machine import devices, facts
from jaxpad.multi import record as records
from jaxpad.multi.comparison import clock, compare
from jaxpad.multi.context import Job, World, join, look, start_jax
from jaxpad.multi.launcher import Place, find, local_devices
from jaxpad.multi.merging import merge
from jaxpad.multi.record import (
    MARK,
    Disturb,
    End,
    Expected,
    Identity,
    Record,
    Reporter,
    Stage,
    Wanted,
)
from jaxpad.multi.report import of_record
from jaxpad.multi.watchdog import Watcher, start, told_end

_NONE = Disturb()
_JOIN_MORE_S = 1.0  # for a limit of JAX's or of ours to come first, with its own words


def main(
    options: MultiOptions, environ: Mapping[str, str] = os.environ, disturb: Disturb = _NONE
) -> int:
    """Run this process's part and return its exit code: 0, 1, 3, or 128 + N after signal N.

    Raises UsageError where this is no process of a job, or an option is none.
    """
    if options.read:
        return show(options)
    asked, place = _asked(options), find(environ)
    folder = records.folder(Path(options.out)).resolve()
    keep = _keeper(folder)

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
    log = folder / f"log-{place.rank}.txt"
    watcher = Watcher(child, first, keep, _limit(job.wanted), now, log, options.json)
    record = watcher.until_end()
    if record.verdict.exit_code and log.is_file():
        sys.stderr.write(f"All that rank {place.rank} said, tracebacks too: {log}\n")
    _print([f"{MARK}{records.text(record)}"] if options.json else of_record(record))
    return watcher.signal_code or record.verdict.exit_code


def _asked(options: MultiOptions) -> Wanted:
    """Raises UsageError for a platform that is none."""
    devices.require(options.platform)
    return Wanted(
        processes=options.expect_processes,
        devices=options.expect_devices,
        limit_s=options.limit,
        join_s=options.join,
    )


def _job(
    options: MultiOptions, asked: Wanted, place: Place, environ: Mapping[str, str], disturb: Disturb
) -> Job:
    gpus, driver = host.gpu_evidence(), facts.read_driver(environ)
    expected = devices.expect(options.platform, environ, gpus, driver)
    return Job(
        place=place,
        wanted=asked,
        expected=expected,
        gpus=gpus,
        driver=driver,
        bounds=bounds.load(options.thresholds),
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

    told_end(lambda tell: work(job, tell), Reporter(first, pipe, now, job.disturb))


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
            records.keep(folder, record)
        except OSError as error:
            sys.stderr.write(f"jaxpad: {folder} cannot be written: {error.strerror}\n")

    return keep


def show(options: MultiOptions) -> int:
    """Say what the processes of an earlier run wrote, and return the exit code of it all."""
    asked = _asked(options)
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


# All that the worker does, stage by stage, in the same order on every process.


def work(job: Job, tell: Reporter) -> None:
    """Run every check. Raises what JAX raises."""
    world = World(job, tell)
    start_jax(world)
    join(world)
    world = compare(world, look(world))
    clock(world)
    _collectives(world)
    tell.step("leave", "leave together", together=True)
    import jax

    jax.distributed.shutdown()


def _collectives(world: World) -> None:
    import jax

    from jaxpad.multi.collectives import KINDS, Times, compare_times, correct, mesh, times
    from jaxpad.multi.network import network, pairs

    everywhere = mesh(sorted(jax.devices(), key=lambda one: (one.process_index, one.id)))
    own: Times = {}
    for kind in KINDS:
        correct(world, everywhere, kind)
        own |= times(world, everywhere, kind)
    compare_times(world, everywhere, own)
    network(world)
    if world.job.pairwise:
        pairs(world, everywhere)
