"""What both stages say of the nodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from jaxpad.fleet import Fleet
from jaxpad.multi import MultiReport
from jaxpad.verdict import Verdict, overall


@dataclass(frozen=True)
class Second:
    """What the processes of all nodes say together, or why they say nothing."""

    report: MultiReport | None
    why: str = ""


@dataclass(frozen=True)
class Whole:
    """What is known of all nodes, alone and together."""

    fleet: Fleet
    second: Second | None  # None: there was nothing to run together

    @property
    def verdict(self) -> Verdict:
        """The worst of both stages."""
        found = [self.fleet.verdict]
        if self.second:
            report = self.second.report
            found.append(report.verdict if report else Verdict.INCONCLUSIVE)
        return overall(found)


def blamed(found: Fleet, report: MultiReport) -> Fleet:
    """The fleet with what the multi-process run says of its nodes."""
    of = {node.node: node for node in report.nodes if node.verdict.exit_code}
    nodes = (
        replace(
            node,
            verdict=overall((node.verdict, of[node.name].verdict)),
            reasons=(*node.reasons, *_told(of[node.name].reasons)),
        )
        if node.name in of
        else node
        for node in found.nodes
    )
    return replace(found, nodes=tuple(nodes))


def _told(reasons: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"multi-process run: {reason}" for reason in reasons)
