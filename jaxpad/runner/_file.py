"""Run the checks of one file, and go on after a check that took its process along."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jaxpad.results import CheckResult, Measurement
from jaxpad.runner._child import Child, Ending, Event, argv
from jaxpad.runner._suite import Check
from jaxpad.verdict import Verdict, overall

REPORT_IT = "read the output; if it happens again, file an issue with this smoke.json"
MORE_MEMORY = "raise the memory limit of this container or job, or close what else uses memory"


def unanswered(check: Check, verdict: Verdict, reason: str, remedy: str = "") -> CheckResult:
    """A result for a check that gave none itself."""
    return CheckResult(check.file.name, check.name, check.question, verdict, reason, remedy)


def run_file(
    checks: Sequence[Check],
    environ: Mapping[str, str],
    folder: Path,
    limit: float,
    started: Callable[[Check], None],
    phase: Callable[[Event], None] = lambda _: None,
) -> Iterator[CheckResult]:
    """Every check's result, in order; a new child takes up after one that died.

    `checks` are of one file. `folder` is where the children work. `limit` is the
    longest silence in seconds: a check that takes longer counts as hung. `started`
    is told each check as it begins, `phase` of each setup, call and teardown as it ends.
    """
    left = list(checks)
    while left:
        command = argv(left[0].file.parent, [check.node for check in left])
        child = Child(command, environ, folder, limit)
        try:
            results = _Follower(child, left, limit, started, phase).results()
            for result in results:  # at least one, so the loop comes to an end
                left = left[1:]
                yield result
        finally:
            child.close()


@dataclass
class _Open:
    """A check that has begun: what is known of it so far."""

    check: Check
    at: int  # bytes of output before it
    since: float = field(default_factory=time.monotonic)
    phases: list[Event] = field(default_factory=list)
    seconds: float | None = None  # set when it has ended

    def end(self) -> None:
        self.seconds = round(time.monotonic() - self.since, 3)

    def result(self, output: str) -> CheckResult:
        """The worst of its phases (and parameters, if it has several)."""
        told = [p for p in self.phases if p["when"] == "call" or p["outcome"] != "pass"]
        verdict = overall(Verdict(phase["outcome"]) for phase in told)
        worst = next(phase for phase in told if phase["outcome"] == verdict)
        numbers = self.phases[-1]["measurements"]
        return replace(
            unanswered(self.check, verdict, worst["reason"], worst["remedy"]),
            seconds=self.seconds or 0.0,
            began=self.since,
            measurements=tuple(Measurement(**number) for number in numbers),
            output="\n".join(filter(None, [worst["text"], output])),
        )


class _Follower:
    """Turns a child's events, and its ending, into results."""

    def __init__(
        self,
        child: Child,
        checks: Sequence[Check],
        limit: float,
        started: Callable[[Check], None],
        phase: Callable[[Event], None],
    ) -> None:
        self._child = child
        self._left = list(checks)
        self._limit = limit
        self._started = started
        self._phase = phase
        self._open: _Open | None = None
        self._uncollected = ""

    def results(self) -> Iterator[CheckResult]:
        """Each check's result as soon as there is one; at the end those that never answered."""
        for event in self._child.events():
            yield from self._take(event)
        ending = self._child.ending()
        if self._open is not None:
            yield self._last(self._open, ending)
        else:
            yield from self._never_asked(ending)

    def _take(self, event: Event) -> Iterator[CheckResult]:
        kind, open_ = event["event"], self._open
        if kind == "uncollected":
            self._uncollected = event["text"]
        elif kind == "started" and (open_ is None or open_.check.name != event["name"]):
            if open_ is not None:
                yield open_.result(self._child.output(open_.at, event["at"]))
            self._begin(event)
        elif kind == "phase" and open_ is not None:
            open_.phases.append(event)
            self._phase(event)
        elif kind == "finished" and open_ is not None:
            open_.end()

    def _begin(self, event: Event) -> None:
        check = next(check for check in self._left if check.name == event["name"])
        self._left.remove(check)
        self._open = _Open(check, event["at"])
        self._started(check)

    def _last(self, open_: _Open, ending: Ending) -> CheckResult:
        """The check that was open when the process ended, well or not."""
        output = self._child.output(open_.at)
        if open_.seconds is None:
            open_.end()
            verdict, reason, remedy = _death(ending, self._limit)
            result = unanswered(open_.check, verdict, reason, remedy)
            seconds = open_.seconds or 0.0
            return replace(result, seconds=seconds, output=output, began=open_.since)
        result = open_.result(output)
        return result if ending.clean else _died_after(result, ending, self._limit)

    def _never_asked(self, ending: Ending) -> Iterator[CheckResult]:
        """The process ended before it came to these checks."""
        text = self._uncollected or self._child.output()
        cause = _death(ending, self._limit)[1] if ending.code < 0 else _last_line(text)
        for check in self._left:
            reason = f"{check.file.name} could not be run: {cause}"
            result = unanswered(check, Verdict.INCONCLUSIVE, reason, "mend what the output names")
            yield replace(result, output=text)


def _last_line(text: str) -> str:
    """The last line of a traceback or log, without pytest's margin mark."""
    lines = [line.removeprefix("E").strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "pytest gave no reason")


def _died_after(last: CheckResult, ending: Ending, limit: float) -> CheckResult:
    """All was answered, then the process did not end well: that is no pass."""
    verdict, reason, remedy = _death(ending, limit)
    reason = "; ".join(filter(None, [last.reason, f"after the last check of its file, {reason}"]))
    return replace(last, verdict=overall([verdict, last.verdict]), reason=reason, remedy=remedy)


def _death(ending: Ending, limit: float) -> tuple[Verdict, str, str]:
    """Verdict, reason and remedy for a process that did not come to its own end."""
    if ending.timed_out:
        reason = f"no answer within {limit:g} s, so it was ended; the output says where it stood"
        if ending.left is not None:
            reason += f"; process {ending.left} cannot be killed and is left behind"
        return Verdict.FAIL, reason, "look at the stack in the output; --limit allows it longer"
    if ending.flooded:
        reason = "it printed more than a process of the suite may, so it was ended"
        return Verdict.FAIL, reason, "look at the output, of which the last lines are kept"
    if ending.out_of_memory:
        return Verdict.FAIL, f"its process {ending.words}", MORE_MEMORY
    if ending.code == -9:
        reason = f"its process {ending.words} by somebody else; the kernel counts no memory kill"
        return Verdict.INCONCLUSIVE, reason, "find out who ended it, then run again"
    return Verdict.FAIL, f"its process {ending.words}", REPORT_IT
