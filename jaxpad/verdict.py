"""The four answers a check can give, and what they mean to a shell."""

from __future__ import annotations

import enum
from collections.abc import Iterable

USAGE_ERROR = 2


class Verdict(enum.StrEnum):
    """The answer to one check. Inconclusive is never pass; fail outranks it."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """0 pass or not applicable, 1 fail, 3 inconclusive (2 is kept for usage errors)."""
        return {Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}.get(self, 0)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict for many: the worst of them.

    Fail outranks inconclusive, which outranks pass, which outranks not applicable.
    No verdict at all is inconclusive: nothing was shown.
    """
    found = set(verdicts)
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
    return next((verdict for verdict in order if verdict in found), Verdict.INCONCLUSIVE)
