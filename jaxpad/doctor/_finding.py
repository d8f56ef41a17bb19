"""One question about the host and its answer, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpad.verdict import Verdict


@dataclass(frozen=True)
class Answer:
    """What a question found."""

    verdict: Verdict
    found: str  # what was seen, or why nothing was
    remedy: str = ""  # what to do, where it is no pass


@dataclass(frozen=True)
class Finding:
    """A question with its answer."""

    name: str
    question: str
    verdict: Verdict
    found: str
    remedy: str


def passed(found: str) -> Answer:
    return Answer(Verdict.PASS, found)


def failed(found: str, remedy: str) -> Answer:
    return Answer(Verdict.FAIL, found, remedy)


def inconclusive(found: str, remedy: str) -> Answer:
    return Answer(Verdict.INCONCLUSIVE, found, remedy)


def not_applicable(found: str) -> Answer:
    return Answer(Verdict.NOT_APPLICABLE, found)
