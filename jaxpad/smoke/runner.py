"""A whole smoke run: gather the facts, run the files, keep the report complete throughout."""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import jaxpad
from jaxpad import profiles
from jaxpad.core import bounds, host
from jaxpad.core.bounds import Bounds
from jaxpad.core.codec import revive, to_plain
from jaxpad.core.files import Folder
from jaxpad.core.lifeline import Interrupted, exit_code as signal_code, hold, interruptible
from jaxpad.core.results import (
    CheckResult,
    Device,
    EffectiveFlag,
    Fact,
    Gpu,
    GpuFinding,
    Judgement,
    Platform,
    Rate,
    Report,
    Verdict,
    XlaFlags,
)
from jaxpad.gpus import GpuDescription
from jaxpad.health import Finding, readings
from jaxpad.machine import facts as machine, facts as node
from jaxpad.machine.devices import PLUGINS
from jaxpad.machine.facts import Facts, Survey, relevant
from jaxpad.nvml import GpuState, GpuTrace, Reading, Sampler, Trace
from jaxpad.smoke import child
from jaxpad.smoke.child import Event, run_file, unanswered
from jaxpad.smoke.collection import Check, Plan, Watcher

# What checks file beside their verdicts, and what is left in a folder for later checks.

RATES, SURVEY, TRACE = "rates.json", "survey.json", "trace.json"


@dataclass
class Filed:
    """Rates and judgements, in the order in which they came."""

    rates: list[Rate] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)

    def take(self, phase: Event) -> None:
        """The last phase of a check has all that the check filed."""
        if phase["when"] == "teardown":
            self.rates += [revive(Rate, plain, "rate") for plain in phase["rates"]]
            self.judgements += [revive(Judgement, one, "judgement") for one in phase["judgements"]]

    def leave(self, folder: Path, trace: Trace | None) -> None:
        """Write down what the next check file may want to judge."""
        (folder / RATES).write_text(json.dumps(to_plain(self.rates)), encoding="utf-8")
        if trace is not None:
            (folder / TRACE).write_text(json.dumps(to_plain(trace)), encoding="utf-8")

    def since(self, begun: float) -> tuple[tuple[Rate, ...], tuple[Judgement, ...]]:
        """All of it, with times in seconds after `begun`."""
        rates = tuple(_filed_since(rate, begun) for rate in self.rates)
        judged = (replace(one, rate=_filed_since(one.rate, begun)) for one in self.judgements)
        return rates, tuple(judged)


def _filed_since(rate: Rate, begun: float) -> Rate:
    start, stop = round(rate.start_s - begun, 3), round(rate.stop_s - begun, 3)
    return replace(rate, start_s=start, stop_s=stop)


def rates(folder: Path) -> tuple[Rate, ...]:
    """The rates that `leave` wrote; none where nothing was measured yet."""
    file = folder / RATES
    plain = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return tuple(revive(Rate, each, "rate") for each in plain)


def trace(folder: Path) -> Trace | None:
    """The trace that `leave` wrote, up to the beginning of this check file."""
    file = folder / TRACE
    if not file.exists():
        return None
    return revive(Trace, json.loads(file.read_text(encoding="utf-8")), "trace")


# Wait until the GPUs are at rest before they are timed: each begins as cool as the next run.

PATIENCE_S = 20.0
LOOK_S = 3.0  # longer than the window over which NVML counts utilisation
EVERY_S = 0.5
CELSIUS = 1.0  # that a chip at rest may wander
PERCENT = 5.0


def settle(sampler: Sampler, waiting: Callable[[], None]) -> None:
    """Back when all GPUs are at rest, or after PATIENCE_S; `waiting` is told before a wait."""
    begun = time.monotonic()
    waiting()
    while time.monotonic() - begun < PATIENCE_S and not at_rest(sampler.trace()):
        time.sleep(EVERY_S)


def at_rest(trace: Trace) -> bool:
    """No GPU computes, and none cools down, by the last LOOK_S seconds of its samples.

    A GPU that tells neither, or was lost, is not waited for.
    """
    return trace.error is not None or all(map(_at_rest, trace.gpus))


def _at_rest(gpu: GpuTrace) -> bool:
    if gpu.lost or not gpu.time_s:
        return True
    stop = gpu.time_s[-1]
    if stop - gpu.time_s[0] < LOOK_S:
        return False
    first = next(at for at, time_s in enumerate(gpu.time_s) if time_s >= stop - LOOK_S)
    busy = [value for value in gpu.columns["utilisation_percent"][first:] if value is not None]
    heat = [value for value in gpu.columns["temperature_celsius"][first:] if value is not None]
    wandered = max(heat, default=0.0) - min(heat, default=0.0)
    return max(busy, default=0.0) <= PERCENT and wandered <= CELSIUS


# The NVML sampler of a run: in the runner, beside the children that do the work.

PERIOD_S = 0.1  # ten samples in the shortest timed program, 10 kB a second on eight GPUs


@contextlib.contextmanager
def watched(survey: Survey) -> Iterator[Sampler | None]:
    """Sample the GPUs that a child has seen answer; None where there is none.

    A library that crashed or hung that child is not loaded into this process.
    """
    if not survey.snapshot.gpus:
        yield None
        return
    with Sampler(period_s=PERIOD_S) as sampler:
        yield sampler


# The GPUs of a survey as the report shows them.

# Told elsewhere, of no use to a reader, or nobody's business.
_LEFT_OUT = ("processes", "identity.serial", "identity.uuid", "identity.name")
_LINK = re.compile(r"nvlinks(?!\.\d+\.active$)")  # of a link only whether it is up


def gpus(survey: Survey, facts: Facts, bounds: Bounds) -> tuple[Gpu, ...]:
    """One entry for each GPU that NVML lists, with what health finds on it."""
    findings = survey.findings(bounds, idle=True)
    pairs = zip(survey.snapshot.gpus, survey.described, strict=True)
    return tuple(_gpu(gpu, model, _devices(survey, facts, gpu), findings) for gpu, model in pairs)


def _devices(survey: Survey, facts: Facts, gpu: GpuState) -> tuple[int, ...]:
    """JAX's ids of the devices that this GPU, or a slice of it, is."""
    ids = [number for number, _ in facts.started.devices]
    matches = zip(ids, survey.match(facts.started.ordinals), strict=False)
    return tuple(number for number, found in matches if found.gpu and found.gpu.index == gpu.index)


def _gpu(
    gpu: GpuState,
    model: GpuDescription | None,
    devices: tuple[int, ...],
    findings: Sequence[Finding],
) -> Gpu:
    return Gpu(
        index=gpu.index,
        name=gpu.identity.name.value or "no name",
        description=model.name if model else None,
        uuid=gpu.identity.uuid.value,
        pci_bus_id=gpu.identity.pci_bus_id.value,
        devices=devices,
        peaks=_peaks(model) if model else {},
        readings=dict(_readings(gpu)),
        findings=tuple(
            GpuFinding(one.name, one.verdict, one.seen, one.why, one.remedy)
            for one in findings
            if one.gpu == gpu.index
        ),
    )


def _peaks(model: GpuDescription) -> dict[str, float]:
    """Dense TFLOP/s by dtype, and the memory's GB/s; what nobody gives is left out."""
    figures = {**model.peak, "memory": model.memory.bandwidth_gb_per_s}
    return {name: figure.value for name, figure in figures.items() if figure.value is not None}


def _readings(gpu: GpuState) -> Iterator[tuple[str, Fact]]:
    for path, found in readings(gpu):
        if not (path.startswith(_LEFT_OUT) or _LINK.match(path)):
            yield path, _fact(found)


def _fact(found: Reading[Any]) -> Fact:
    value = found.value
    if isinstance(value, tuple):
        return Fact(", ".join(map(str, value)) or "none")
    if isinstance(value, float):
        return Fact(f"{value:g}")
    return Fact(None if value is None else str(value), found.reason)


# From the facts and results of a run to its report.

NOT_YET = "the run ended before this was looked at"


def summarised(
    plan: Plan, facts: Facts | None, survey: Survey | None, checks: tuple[CheckResult, ...]
) -> Report:
    """A report on `checks`; the caller adds the times and the rates."""
    held_to = bounds.load(Path(plan.thresholds) if plan.thresholds else None)
    strict = ("--strict: a shortfall that is explained fails, too",) if plan.strict else ()
    return Report(
        jaxpad=jaxpad.__version__,
        started="",
        seconds=0.0,
        command=plan.command,
        profile=plan.profile or (facts.profile if facts else None),
        node=plan.environ.get("JAXPAD_NODE") or socket.gethostname(),  # a pod has a name of its own
        platform=_platform(plan, facts),
        xla_flags=_flags(plan),
        versions=_versions(facts),
        host={name: Fact(value) for name, value in host.summary().items()},
        environment=relevant(plan.environ),
        checks=checks,
        gpus=gpus(survey, facts, held_to) if survey and facts else (),
        overrides=(*bounds.overrides(held_to), *plan.notes, *strict),
    )


def _platform(plan: Plan, facts: Facts | None) -> Platform:
    if facts is None:
        return Platform(plan.requested, "unknown", None, NOT_YET)
    expected, started = facts.expected, facts.started
    devices = tuple(
        Device(id=number, platform=started.platform or "", kind=kind)
        for number, kind in started.devices
    )
    found = "gpu" if facts.gpu else started.platform
    return Platform(
        plan.requested, expected.platform, found, expected.why, expected.evidence, devices
    )


def _flags(plan: Plan) -> XlaFlags:
    text = plan.environ.get("XLA_FLAGS", "")
    flags = tuple(EffectiveFlag(*origin) for origin in plan.origins)
    return XlaFlags(text, flags, profiles.parse(text).dropped)


def _versions(facts: Facts | None) -> dict[str, Fact]:
    versions = {"python": Fact(platform.python_version())}
    if facts is None:
        return versions | dict.fromkeys(("jax", "jaxlib", "driver"), Fact(None, NOT_YET))
    packages = {
        name: Fact(facts.packages.get(name), None if name in facts.packages else "not installed")
        for name in ("jax", "jaxlib", *PLUGINS)
    }
    driver = Fact(facts.driver.version, facts.driver.error)
    cuda = Fact(facts.driver.cuda, facts.driver.error)
    xla = Fact(facts.started.xla, facts.started.error)
    return versions | packages | {"driver": driver, "driver_cuda": cuda, "xla": xla}


def _no_jax(facts: Facts) -> str:
    """Why no check that computes can be answered, in a line; empty where they can."""
    if facts.steered:
        return f"{facts.steered} changes what JAX does"
    cause = facts.not_started
    return f"JAX does not start here: {cause.reason}" if cause else ""


def exit_code(report: Report) -> int:
    """The verdict's; 128 + N for a run that signal N ended early, whatever it had found."""
    return signal_code(report.interrupted) if report.interrupted else report.verdict.exit_code


def run(plan: Plan, watcher: Watcher | None = None) -> Report:
    """Run the plan and report on every one of its checks, also when a signal ends it early.

    Handles SIGINT, SIGTERM and SIGHUP while it runs, so call it from the main thread.
    """
    with interruptible():
        return _Run(plan, watcher or Watcher()).report()


class _Run:
    def __init__(self, plan: Plan, watcher: Watcher) -> None:
        self._plan = plan
        self._watcher = watcher
        self._results: list[CheckResult] = []
        self._facts: Facts | None = None
        self._survey: Survey | None = None
        self._sampler: Sampler | None = None
        self._filed = Filed()
        self._interrupted: str | None = None
        self._begun = time.monotonic()
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def report(self) -> Report:
        """Run every file; the whole report, also of a run that a signal cut short."""
        try:
            with interruptible(), Folder() as folder:
                self._tell()
                self._go(folder)
                hold()
        except Interrupted as signal:
            self._interrupted = str(signal)
        hold()
        return self._tell(last=True)

    def _tell(self, *, last: bool = False) -> Report:
        found = self._so_far()
        self._watcher.checked(found, self._trace(), last)
        return found

    def _trace(self) -> Trace | None:
        """What the sampler has seen, in seconds after the run's start."""
        return self._sampler.trace().since(self._begun) if self._sampler else None

    def _go(self, folder: Path) -> None:
        plan = self._plan
        sysfs, dev = plan.roots.sysfs, plan.roots.dev
        facts = machine.gather(plan.requested, plan.environ, plan.profile, sysfs, dev, plan.expect)
        facts = replace(facts, folder=str(folder), strict=plan.strict, thresholds=plan.thresholds)
        facts = replace(facts, allowed=plan.allow)
        self._facts = facts
        self._watcher.expected(facts.expected)
        self._survey = node.look(plan.environ, plan.roots, names=plan.names)
        (folder / SURVEY).write_text(self._survey.to_json(), encoding="utf-8")
        with watched(self._survey) as self._sampler:
            self._ask(facts, folder)

    def _ask(self, facts: Facts, folder: Path) -> None:
        """Start JAX, then put every check file to it."""
        environ = child.for_jax(self._plan.environ, facts)
        self._facts = facts = machine.start_jax(facts, environ)
        written = folder / "facts.json"
        written.write_text(facts.to_json(), encoding="utf-8")
        for file, checks in groupby(self._plan.checks, key=lambda check: check.file):
            ready = child.for_file(environ, written, file, self._plan.allow)
            if self._sampler and file.name == child.THROUGHPUT:
                settle(self._sampler, self._watcher.settling)
            self._filed.leave(folder, self._sampler.trace() if self._sampler else None)
            for result in self._results_of(tuple(checks), ready, folder, facts):
                self._results.append(result)
                self._watcher.finished(result)
            self._tell()

    def _results_of(
        self, checks: tuple[Check, ...], environ: dict[str, str], folder: Path, facts: Facts
    ) -> Iterator[CheckResult]:
        reason = _no_jax(facts) if checks[0].needs_jax else ""
        if reason:
            remedy = "fix what test_environment.py::test_jax_starts names, then run again"
            yield from (unanswered(check, Verdict.INCONCLUSIVE, reason, remedy) for check in checks)
        else:
            limit, started = self._plan.limit, self._watcher.started
            found = run_file(checks, environ, folder, limit, started, self._filed.take)
            yield from (_elapsed(result, self._begun) for result in found)

    def _so_far(self) -> Report:
        """A complete report at any time: what has not been answered is inconclusive."""
        cause = (
            f"interrupted by {self._interrupted}"
            if self._interrupted
            else "the run had not come to it"
        )
        left = self._plan.checks[len(self._results) :]
        open_ = [unanswered(c, Verdict.INCONCLUSIVE, cause, "run it again") for c in left]
        report = summarised(self._plan, self._facts, self._survey, (*self._results, *open_))
        rates, judgements = self._filed.since(self._begun)
        seconds = round(time.monotonic() - self._begun, 3)
        return replace(
            report,
            rates=rates,
            judgements=judgements,
            started=self._started,
            seconds=seconds,
            interrupted=self._interrupted,
        )


def _elapsed(result: CheckResult, begun: float) -> CheckResult:
    began = None if result.began is None else round(result.began - begun, 3)
    return replace(result, began=began)
