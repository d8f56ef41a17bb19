"""A report's checks gathered for reading: by topic, and by what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from jaxpad.results import CheckResult, Report
from jaxpad.verdict import Verdict, overall

ORDER = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE)


@dataclass(frozen=True)
class Topic:
    """The checks of one file."""

    file: str
    checks: tuple[CheckResult, ...]

    @property
    def name(self) -> str:
        """`jit` for test_jit.py."""
        return self.file.removeprefix("test_").removesuffix(".py")

    @property
    def seconds(self) -> float:
        return sum(check.seconds for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        return overall(check.verdict for check in self.checks)

    def count(self, verdict: Verdict) -> int:
        return sum(check.verdict is verdict for check in self.checks)


def topics(report: Report) -> tuple[Topic, ...]:
    """One topic for each file, in the order the files first appear."""
    files = dict.fromkeys(check.file for check in report.checks)
    by_file = {file: [c for c in report.checks if c.file == file] for file in files}
    return tuple(Topic(file, tuple(checks)) for file, checks in by_file.items())


@dataclass(frozen=True)
class Group:
    """Neighbouring checks with the same thing wrong, told once."""

    checks: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        return self.checks[0]


def groups(report: Report, verdict: Verdict) -> tuple[Group, ...]:
    """The checks of one verdict; a run of the same reason, remedy and output is one group.

    An interrupted run leaves dozens of checks unanswered for one reason.
    """
    checks = [check for check in report.checks if check.verdict is verdict]
    runs = groupby(checks, key=lambda c: (c.reason, c.remedy, c.output, c.measurements))
    return tuple(Group(tuple(run)) for _, run in runs)
