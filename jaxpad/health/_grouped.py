"""Findings of several GPUs that say the same, told once."""

from __future__ import annotations

from collections.abc import Iterable

from jaxpad.health._finding import Finding
from jaxpad.verdict import Verdict


def grouped(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings on several GPUs that read the same, together; the worst first."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        # What passes may differ in its number: one line is enough.
        told = "" if one.verdict is Verdict.PASS else one.seen
        groups.setdefault((one.name, one.verdict, told), []).append(one)
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
    return sorted(groups.values(), key=lambda same: order.index(same[0].verdict))


def places(same: Iterable[Finding]) -> str:
    """The GPUs of a group: `0-3,6`; empty for the node."""
    runs: list[list[int]] = []
    for index in sorted(one.gpu for one in same if one.gpu is not None):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
