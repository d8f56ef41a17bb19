"""A whole smoke run: gather the facts, run the files, keep the report complete throughout."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from jaxpad import facts as machine, survey as node
from jaxpad.core.temporary import Folder
from jaxpad.facts import Facts
from jaxpad.nvml import Sampler, Trace
from jaxpad.results import CheckResult, Report
from jaxpad.runner import _environ, _summary
from jaxpad.runner._file import run_file, unanswered
from jaxpad.runner._filed import SURVEY, Filed
from jaxpad.runner._interrupt import Interrupted, hold, interruptible
from jaxpad.runner._plan import Plan, Watcher
from jaxpad.runner._settle import settle
from jaxpad.runner._suite import Check
from jaxpad.runner._watch import watched
from jaxpad.survey import Survey
from jaxpad.verdict import Verdict


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
            with Folder() as folder:
                self._tell()
                self._go(folder)
            hold()
        except Interrupted as signal:
            self._interrupted = str(signal)
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
        facts = machine.gather(plan.requested, plan.environ, plan.profile, sysfs, dev)
        facts = replace(facts, folder=str(folder), strict=plan.strict, thresholds=plan.thresholds)
        self._facts = facts
        self._watcher.expected(facts.expected)
        self._survey = node.look(plan.environ, plan.roots, names=plan.names)
        (folder / SURVEY).write_text(self._survey.to_json())
        with watched(self._survey) as self._sampler:
            self._ask(facts, folder)

    def _ask(self, facts: Facts, folder: Path) -> None:
        """Start JAX, then put every check file to it."""
        environ = _environ.for_jax(self._plan.environ, facts)
        self._facts = facts = machine.start_jax(facts, environ)
        written = folder / "facts.json"
        written.write_text(facts.to_json())
        for file, checks in groupby(self._plan.checks, key=lambda check: check.file):
            ready = _environ.for_file(environ, written, file.name)
            if self._sampler and file.name == _environ.THROUGHPUT:
                settle(self._sampler, self._watcher.settling)
            self._filed.leave(folder, self._sampler.trace() if self._sampler else None)
            for result in self._results_of(tuple(checks), ready, folder, facts):
                self._results.append(result)
                self._watcher.finished(result)
            self._tell()

    def _results_of(
        self, checks: tuple[Check, ...], environ: dict[str, str], folder: Path, facts: Facts
    ) -> Iterator[CheckResult]:
        if checks[0].needs_jax and facts.started.error:
            reason = f"JAX does not start here: {facts.started.error}"
            remedy = "mend what test_environment.py::test_jax_starts names, then run again"
            yield from (unanswered(check, Verdict.INCONCLUSIVE, reason, remedy) for check in checks)
        else:
            limit, started = self._plan.limit, self._watcher.started
            found = run_file(checks, environ, folder, limit, started, self._filed.take)
            yield from (_since(result, self._begun) for result in found)

    def _so_far(self) -> Report:
        """A complete report at any time: what has not been answered is inconclusive."""
        cause = (
            f"interrupted by {self._interrupted}"
            if self._interrupted
            else "the run had not come to it"
        )
        left = self._plan.checks[len(self._results) :]
        open_ = [unanswered(c, Verdict.INCONCLUSIVE, cause, "run it again") for c in left]
        report = _summary.report(self._plan, self._facts, self._survey, (*self._results, *open_))
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


def _since(result: CheckResult, begun: float) -> CheckResult:
    began = None if result.began is None else round(result.began - begun, 3)
    return replace(result, began=began)
