"""A node's report that is set aside, and why."""

from __future__ import annotations

from typing import Any

from jaxpad.errors import UsageError

AGAIN = "run the smoke suite on that node again"


class Refused(UsageError):
    """A report that cannot be trusted: what is wrong with it, and the remedy."""

    def __init__(self, why: str, remedy: str = AGAIN) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why, self.remedy = why, remedy

    def __reduce__(self) -> Any:  # an exception is pickled by its one message
        return (Refused, (self.why, self.remedy))
