"""What a check says when the answer is not a plain pass or a failed assertion.

A smoke file is plain pytest: an `assert` that holds is a pass, one that does not
is a fail. These add the other two verdicts, a remedy, and numbers.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NoReturn

from jaxpad.core.results import Judgement, Rate

# The pytest user properties that carry what a check files beside its verdict.
MEASUREMENTS = "jaxpad_measurements"
RATES = "jaxpad_rates"
JUDGEMENTS = "jaxpad_judgements"
# The variable with the file descriptor of the pipe from a check file's child to the runner.
EVENTS = "JAXPAD_EVENTS"
# For all children of a check together: shorter than the runner's --limit, as it is by default, so
# that the check says what was late, before the runner ends it and says that it failed.
CHILD_S = 150.0


class Failed(AssertionError):
    """A check that failed for a known cause: the message names it, the remedy fixes it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Inconclusive(Exception):
    """A check that could not be answered, with the reason and what to do about it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy


class Deadline:
    """When all children of a check must have answered, counted from its first."""

    def __init__(self) -> None:
        self._until = time.monotonic() + CHILD_S

    def left(self) -> float:
        """Seconds for the next child; never none, which would mean no limit to some."""
        return max(0.01, self._until - time.monotonic())


def late(what: str, seconds: float) -> Inconclusive:
    """For a child that did not answer in time: a hang and a busy machine look alike."""
    return Inconclusive(
        f"{what} did not answer within {seconds:g} s: it hangs, or this machine is too busy",
        "see what else runs here (top), then run it again; if it stays, read this check's output",
    )


def not_applicable(reason: str) -> NoReturn:
    """End this check: its question does not arise here."""
    import pytest  # here: who only judges, as `health` does, has none in a base install

    pytest.skip(reason)


def measurer(record: Callable[[str, object], None]) -> Callable[..., None]:
    """A function that files a number with the check that measured it.

    `record` is pytest's own `record_property`.
    """

    def measure(
        name: str,
        value: float | str,
        unit: str = "",
        *,
        spread: float | None = None,
        gate: str | None = None,
        source: str | None = None,
    ) -> None:
        """File one number: its unit, interquartile range, and the bound it is held to."""
        number: dict[str, Any] = {"name": name, "value": value, "unit": unit}
        record(MEASUREMENTS, number | {"spread": spread, "gate": gate, "source": source})

    return measure


def rater(record: Callable[[str, object], None]) -> Callable[[Rate], None]:
    """A function that files a rate: test_throughput_gates.py judges it, the report draws it."""
    return lambda rate: record(RATES, dataclasses.asdict(rate))


def judge(record: Callable[[str, object], None]) -> Callable[[Judgement], None]:
    """A function that files what came of a rate."""
    return lambda judgement: record(JUDGEMENTS, dataclasses.asdict(judgement))
