"""The service's answer held against the exceptions."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from jaxpad.audit._model import Advisory, Allowed, Answer, Judged
from jaxpad.verdict import Verdict


def judge(pins: int, answer: Answer, allowed: Sequence[Allowed], today: datetime.date) -> Judged:
    """Which advisories stand, which are accepted, which exceptions are out of date.

    An exception counts up to and with its last day. It no longer matches only where its
    package was audited: of what nobody could ask about, nothing follows.
    """
    valid = [one for one in allowed if today <= one.until]
    accepted = [(found, one) for found in answer.advisories for one in _covering(found, valid)]
    covered = {id(found) for found, _ in accepted}
    unasked = {one.package for one in answer.unaudited}
    return Judged(
        pins,
        tuple(found for found in answer.advisories if id(found) not in covered),
        tuple(accepted),
        tuple(one for one in allowed if today > one.until),
        tuple(one for one in valid if one.package not in unasked and not _used(one, answer)),
        answer.unaudited,
    )


def verdict(judged: Judged) -> Verdict:
    """A vulnerability or an expired exception fails; what was not audited is inconclusive."""
    if judged.vulnerable or judged.expired:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if judged.unaudited else Verdict.PASS


def _covering(found: Advisory, allowed: Sequence[Allowed]) -> list[Allowed]:
    return [one for one in allowed if one.covers(found)][:1]


def _used(one: Allowed, answer: Answer) -> bool:
    return any(one.covers(found) for found in answer.advisories)
