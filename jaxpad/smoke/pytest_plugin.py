"""The pytest plugin in each child: one JSON line an event, on a pipe to the runner.

A line goes out before each check starts and after it ends, so that a child that
dies or hangs leaves behind which check it was in.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

from jaxpad.checks import EVENTS, JUDGEMENTS, MEASUREMENTS, RATES, Inconclusive


def pytest_configure(config: pytest.Config) -> None:
    """Join the runner."""
    descriptor = os.environ.pop(EVENTS, None)  # absent where pytest is run by hand
    if descriptor is not None:
        config.pluginmanager.register(_Recorder(int(descriptor)))


class _Recorder:
    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8")
        os.set_inheritable(descriptor, False)

    def _send(self, event: str, **fields: Any) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self._pipe.write(json.dumps({"event": event} | fields, default=str) + "\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._send("uncollected", text=report.longreprtext)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        sys.stdout.flush()
        written = os.fstat(1).st_size  # where this check's output begins in the log
        self._send("started", name=_name(nodeid), at=written)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send what became of each phase: setup, call, teardown."""
        report = yield
        error = call.excinfo.value if call.excinfo else None
        self._send(
            "phase",
            name=_name(item.nodeid),
            when=report.when,
            outcome=_outcome(report, error),
            reason=_reason(report, error),
            remedy=getattr(error, "remedy", ""),
            text=report.longreprtext if report.failed else "",
            measurements=_filed(report, MEASUREMENTS),
            rates=_filed(report, RATES),
            judgements=_filed(report, JUDGEMENTS),
        )
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._send("finished", name=_name(nodeid))


def _filed(report: pytest.TestReport, kind: str) -> list[object]:
    return [value for name, value in report.user_properties if name == kind]


def _name(nodeid: str) -> str:
    """The check of a node id: its function, whatever the parameters."""
    return nodeid.rpartition("::")[2].partition("[")[0]


def _outcome(report: pytest.TestReport, error: BaseException | None) -> str:
    """The verdict of one phase; an error outside the check itself leaves it unanswered."""
    if report.passed:
        return "pass"
    if report.skipped:
        return "inconclusive" if hasattr(report, "wasxfail") else "not applicable"
    answered = report.when == "call" and not isinstance(error, Inconclusive)
    return "fail" if answered else "inconclusive"


def _reason(report: pytest.TestReport, error: BaseException | None) -> str:
    if report.passed:
        return ""
    if isinstance(error, AssertionError | Inconclusive | pytest.skip.Exception):
        return str(error) or "an assertion does not hold"
    return f"{type(error).__name__}: {error}"
