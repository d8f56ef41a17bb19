"""`profile.tune`: the flags of a space that make one program really faster, as a profile."""

from __future__ import annotations

import datetime
import json as json_
import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from rich import progress
from rich.console import Console
from rich.table import Table

from jaxpad import flags, gpus, profiles, tune, workloads
from jaxpad.commands.profile import TuneOptions
from jaxpad.core import host, paths
from jaxpad.core.results import UsageError, Verdict
from jaxpad.machine import facts

# A tuning run for people: a bar while it lasts, and a table of the programs at the end.

ROWS = 12  # programs in the table, the fastest first


@dataclass
class Shown:
    """How far a run is; `bar` is shown on a terminal's standard error."""

    bar: progress.Progress = field(init=False)

    def __post_init__(self) -> None:
        console = Console(stderr=True)
        self.bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._compiling = self.bar.add_task("compiling", total=None)
        self._measuring = self.bar.add_task("measuring", total=None, visible=False)

    def watcher(self) -> tune.Watcher:
        """What tells this how far the run is."""
        compiling = tune.CompileWatcher(self._begun, self._finished)
        return tune.Watcher(compiling, self._compiled, self._measured)

    def _begun(self, total: int) -> None:
        self.bar.update(self._compiling, total=total)

    def _finished(self) -> None:
        self.bar.advance(self._compiling)

    def _compiled(self, summary: str) -> None:
        self.bar.update(self._compiling, visible=False)
        sys.stderr.write(f"{summary}\n")

    def _measured(self, done: int, of: int) -> None:
        self.bar.update(self._measuring, completed=done, total=of, visible=True)


def table(tuned: tune.Tuned, profile: str) -> None:
    """Print every program that was measured, or which candidates are one program.

    `profile` is the file that the winner is in, "" where nothing was to be written.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not tuned.measured:
        _folded(tuned, console)
    else:
        _measured(tuned, console)
    if profile:
        console.print(verdict(tuned, profile))


def verdict(tuned: tune.Tuned, profile: str) -> str:
    """The run's answer in one sentence."""
    winner = next((one for one in tuned.confirmed if one.candidate == tuned.winner), None)
    disturbed = sum(one.end is tune.End.DISTURBED for one in (*tuned.measured, *tuned.confirmed))
    if winner is None and disturbed:
        return (
            f"No answer: {disturbed} measurements were disturbed; the same command takes those of "
            "the search again when the machine is at rest."
        )
    if winner is None or winner.ratio is None:
        return f"Nothing beats {tuned.about['baseline'] or 'the default'}: no profile is written."
    said = f"{winner.ratio.value:.3f} ({winner.ratio.low:.3f} to {winner.ratio.high:.3f})"
    return f"Confirmed at {said} times as fast: {' '.join(winner.candidate.words)}\n{profile}"


def _measured(tuned: tune.Tuned, console: Console) -> None:
    shown = Table("speed-up", "interval", "ended", "flags", box=None, pad_edge=False)
    order = sorted(tuned.measured, key=lambda one: -(one.ratio.value if one.ratio else 0))
    for one in order[:ROWS]:
        ratio = one.ratio
        value = f"{ratio.value:.3f}" if ratio else "-"
        interval = f"{ratio.low:.3f} to {ratio.high:.3f}" if ratio else "-"
        shown.add_row(value, interval, str(one.end), "\n".join(one.candidate.words))
    console.print(shown)
    if len(order) > ROWS:
        console.print(f"and {len(order) - ROWS} more programs, in {tune.JSON_FILE}")


def _folded(tuned: tune.Tuned, console: Console) -> None:
    programs: dict[str, list[tune.Compiled]] = {}
    for one in tuned.compiled:
        if one.digest:
            programs.setdefault(one.digest, []).append(one)
    shown = Table("candidates", "fewest flags that make the program", box=None, pad_edge=False)
    for digest, same in programs.items():
        words = " ".join(same[0].candidate.words) or "(none: the baseline)"
        shown.add_row(str(len(same)), f"{digest[:12]} {words}")
    console.print(shown)
    for one in tuned.compiled:
        if not one.digest and len(one.candidate.flags) == 1:
            console.print(f"{one.fate}: {one.candidate.words[0]}: {one.reason}")


@dataclass(frozen=True)
class _Plan:
    """The options, looked up."""

    options: TuneOptions
    machine: tune.Machine
    space: tune.Space
    against: profiles.Profile | None
    words: tuple[str, ...]
    about: dict[str, str]
    folder: Path

    @property
    def key(self) -> dict[str, str]:
        """What a study's results hang on."""
        return {name: value for name, value in self.about.items() if name in tune.KEY}

    @property
    def profile(self) -> tune.ProfileFile:
        """Where the winner would go."""
        name = self.options.name or _slug(self.options.workload)
        study = tune.key_digest(self.key)
        return tune.ProfileFile(self.folder / f"{name}.toml", study)


def profile_tune(options: TuneOptions) -> int:
    """Tune; 0 also where nothing beats the baseline, 128 + N after signal N.

    3 where the machine was too disturbed to tell.

    Raises UsageError for bad input, before anything is measured.
    """
    plan = _plan(options)
    measures = plan.machine.here and not options.compile_only
    if options.dry_run:
        sys.stdout.write(f"{_counted(plan)}\n")
        return 0
    if measures:
        tune.require_free(plan.profile)
    elif not options.compile_only:
        sys.stderr.write(
            f"jaxpad: {options.gpu} is not here, so the candidates are only compiled\n"
        )
    with tune.opened(plan.folder, plan.key) as study:
        return _run(plan, study, measures=measures)


def _run(plan: _Plan, study: tune.Study, *, measures: bool) -> int:
    shown = Shown()
    run = tune.Run(_request(plan, measures=measures), study, shown.watcher())
    ended: KeyboardInterrupt | None = None
    try:
        with shown.bar:
            run.go()
    except KeyboardInterrupt as signal:
        ended = signal
    tuned = run.result()
    _write(plan, tuned, done=ended is None and measures)
    if ended:
        sys.stderr.write(
            f"jaxpad: {len(study.compiled)} compiles and {len(study.measured)} measurements are "
            f"kept in {plan.folder}; the same command goes on with them\n"
        )
        raise ended
    return Verdict.INCONCLUSIVE.exit_code if tune.undecided(tuned) else 0


def _write(plan: _Plan, tuned: tune.Tuned, *, done: bool) -> None:
    from jaxpad.tune.page import to_html  # here: matplotlib takes a second to import

    tune.replace(plan.folder / tune.JSON_FILE, tune.text(tuned))
    tune.replace(plan.folder / "tune.html", to_html(tuned))
    if done and tuned.winner is not None:
        winner = next(one for one in tuned.confirmed if one.candidate == tuned.winner)
        tune.write_profile(plan.profile, plan.against, winner, tuned.about)
    if plan.options.json:
        json_.dump(tune.to_json(tuned), sys.stdout, indent=2, allow_nan=False)
        sys.stdout.write("\n")
    elif tuned.compiled:
        table(tuned, str(plan.profile.path) if done else "")


def _plan(options: TuneOptions) -> _Plan:
    if not options.workload:
        raise UsageError("--workload is missing: a name such as fsdp, or package.module:function")
    machine = tune.find_machine(
        options.platform,
        options.gpu,
        os.environ,
        facts.read_driver(os.environ),
        host.gpu_evidence(),
    )
    space = tune.load_space(options.space or machine.platform, machine.platform)
    with flags.without_notices():  # a user's own module imports JAX
        workload = workloads.load(options.workload)
    against = profiles.load(options.against) if options.against else None
    _tell_project(space, machine, against)
    version = flags.jaxlib_version()
    if against:
        flags.check(against)
    chosen = profiles.select(against, version) if against else ()
    words = tuple(flag.word for _, flag in chosen)
    about = {
        "workload": options.workload,
        "workload_digest": workloads.digest(workload),
        "space": space.path.stem,
        "space_digest": space.digest,
        "platform": machine.platform,
        "gpu": machine.gpu,
        "device": machine.device,
        "driver": machine.driver,
        "jaxlib": version,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seed": str(options.seed),
        "baseline": Path(against.name).name if against else "",  # no path of this machine
        "baseline_flags": " ".join(words),
    }
    name = options.name or _slug(options.workload)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(
            f"--name {name!r} is no profile's name, expected letters, digits, '.', '_' and '-'; "
            "give another"
        )
    place = machine.gpu or machine.platform
    folder = Path(options.out or f"tune-{_slug(options.workload)}-{place}")
    return _Plan(options, machine, space, against, words, about, folder)


def _tell_project(
    space: tune.Space, machine: tune.Machine, against: profiles.Profile | None
) -> None:
    named = {f"space {space.path.stem}": space.path}
    if machine.gpu:
        named[f"gpu {machine.gpu}"] = gpus.load(machine.gpu).path
    if against:
        named[f"profile {against.name}"] = against.path
    sys.stderr.write("".join(f"{line}\n" for line in paths.notes(named)))


def _request(plan: _Plan, *, measures: bool) -> tune.Request:
    options, machine = plan.options, plan.machine
    return tune.Request(
        space=plan.space,
        target=tune.Target(options.workload, machine.gpu, plan.words, machine.memory),
        about=plan.about,
        seed=options.seed,
        bench=_bench(plan) if measures else None,
        minutes=options.minutes,
        measurements=options.measurements,
    )


def _bench(plan: _Plan) -> Callable[[], AbstractContextManager[tune.Meter]]:
    settings = profiles.environment(plan.against) if plan.against else {}
    step = tune.Step(plan.options.workload, plan.machine.platform, plan.words, settings)
    return lambda: tune.Bench(step, tune.Effort())


def _counted(plan: _Plan) -> str:
    command = shlex.join(["jaxpad", "profile.tune", "--workload", plan.options.workload])
    return (
        f"{plan.space.size} candidates of {plan.space.path} would be compiled for "
        f"{plan.machine.gpu or plan.machine.device}, results in {plan.folder}: {command}"
    )


def _slug(workload: str) -> str:
    """A name for files: `benchmarks.steps:mlp` is `mlp`."""
    return workload.rpartition(":")[2].strip(".")
