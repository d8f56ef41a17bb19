"""A report in lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxpad.multi._report import MultiReport


def lines(report: MultiReport) -> tuple[str, ...]:
    """The verdict, who is to blame, what failed, and rates."""
    return (f"{report.verdict}: {report.why}",)
