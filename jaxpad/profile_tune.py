"""`profile.tune`: the flags of a space that make one program really faster, as a profile."""

from __future__ import annotations

import datetime
import json as json_
import math
import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from jaxpad import facts, flags, gpus, host, paths, profiles, tune, workloads
from jaxpad.errors import UsageError
from jaxpad.tune_shown import Shown, table
from jaxpad.verdict import Verdict

INTERRUPTED = 130  # 128 and SIGINT's number, as shells say it


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    workload: str
    space: str = ""
    platform: str = "auto"
    gpu: str = ""
    against: str = ""
    out: str = ""
    minutes: str = ""
    measurements: str = ""
    seed: str = "0"
    name: str = ""
    compile_only: bool = False
    json: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class _Plan:
    """The options, looked up."""

    options: Options
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


def profile_tune(options: Options) -> int:
    """Tune; 0 also where nothing beats the baseline, 130 after Ctrl-C.

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
    code = 0
    try:
        with shown.bar:
            run.go()
    except KeyboardInterrupt:
        code = INTERRUPTED
    tuned = run.result()
    _write(plan, tuned, done=code == 0 and measures)
    if not code and tune.undecided(tuned):
        return Verdict.INCONCLUSIVE.exit_code
    if code:
        sys.stderr.write(
            f"jaxpad: interrupted; {len(study.compiled)} compiles and {len(study.measured)} "
            f"measurements are kept in {plan.folder}; the same command goes on with them\n"
        )
    return code


def _write(plan: _Plan, tuned: tune.Tuned, *, done: bool) -> None:
    from jaxpad.tune._html import to_html  # here: matplotlib takes a second to import

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


def _plan(options: Options) -> _Plan:
    _number("--seed", options.seed, int, least=0)
    _number("--minutes", options.minutes or "0", float, least=0)
    _number("--measurements", options.measurements or "0", int, least=0)
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
        "seed": options.seed,
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
        seed=int(options.seed),
        bench=_bench(plan) if measures else None,
        minutes=_number("--minutes", options.minutes or "0", float, least=0),
        measurements=int(_number("--measurements", options.measurements or "0", int, least=0)),
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


def _number(option: str, given: str, kind: Callable[[str], float], *, least: float) -> float:
    try:
        number = kind(given)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{option} {given!r} is not {what} of at least {least}; give one")
    return number
