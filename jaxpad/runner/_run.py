"""A whole smoke run: gather the facts, run the files, keep the report complete throughout."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from jaxpad import facts as machine
from jaxpad.facts import Facts
from jaxpad.results import CheckResult, Report
from jaxpad.runner import _environ, _summary
from jaxpad.runner._file import run_file, unanswered
from jaxpad.runner._interrupt import Interrupted, hold, interruptible
from jaxpad.runner._plan import Plan, Watcher
from jaxpad.runner._suite import Check
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
        self._interrupted: str | None = None
        self._begun = time.monotonic()
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")

    def report(self) -> Report:
        try:
            with tempfile.TemporaryDirectory(prefix="jaxpad-") as folder:
                self._watcher.checked(self._so_far())
                self._go(Path(folder))
            hold()
        except Interrupted as signal:
            self._interrupted = str(signal)
        found = self._so_far()
        self._watcher.checked(found)
        return found

    def _go(self, folder: Path) -> None:
        plan = self._plan
        facts = machine.gather(plan.requested, plan.environ, plan.profile, plan.sysfs, plan.dev)
        self._facts = facts
        self._watcher.expected(facts.expected)
        environ = _environ.for_jax(plan.environ, facts)
        self._facts = facts = machine.start_jax(facts, environ)
        written = folder / "facts.json"
        written.write_text(facts.to_json())
        for file, checks in groupby(plan.checks, key=lambda check: check.file):
            ready = _environ.for_file(environ, written, file.name)
            for result in self._results_of(tuple(checks), ready, folder, facts):
                self._results.append(result)
                self._watcher.finished(result)
            self._watcher.checked(self._so_far())

    def _results_of(
        self, checks: tuple[Check, ...], environ: dict[str, str], folder: Path, facts: Facts
    ) -> Iterator[CheckResult]:
        if checks[0].needs_jax and facts.started.error:
            reason = f"JAX does not start here: {facts.started.error}"
            remedy = "mend what test_environment.py::test_jax_starts names, then run again"
            yield from (unanswered(check, Verdict.INCONCLUSIVE, reason, remedy) for check in checks)
        else:
            yield from run_file(checks, environ, folder, self._plan.limit, self._watcher.started)

    def _so_far(self) -> Report:
        """A complete report at any time: what has not been answered is inconclusive."""
        cause = (
            f"interrupted by {self._interrupted}"
            if self._interrupted
            else "the run had not come to it"
        )
        left = self._plan.checks[len(self._results) :]
        open_ = [unanswered(c, Verdict.INCONCLUSIVE, cause, "run it again") for c in left]
        report = _summary.report(self._plan, self._facts, (*self._results, *open_))
        seconds = round(time.monotonic() - self._begun, 3)
        return replace(
            report, started=self._started, seconds=seconds, interrupted=self._interrupted
        )
