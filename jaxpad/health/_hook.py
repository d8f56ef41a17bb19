"""What a hook of Slurm does about the findings: nothing, unless a fault was seen.

A prolog or epilog that fails drains its node, so doubt must not fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jaxpad.health._finding import Finding
from jaxpad.health._job import Own, named, own
from jaxpad.health._subject import short
from jaxpad.nvml import Snapshot
from jaxpad.verdict import Verdict

HOOKS = ("healthcheck", "prolog", "epilog")
FAULT = 10  # an exit code of a hook that no crash has: Python's own are 1 and 2
_SHARED = ("driver",)  # without it no GPU can be used
_OF_THE_LOST = ("count", "kernel log")  # they name a GPU that NVML no longer lists


@dataclass(frozen=True)
class Decision:
    """The faults that count; `doubt` is why none could be looked for."""

    faults: tuple[Finding, ...] = ()
    doubt: str = ""

    @property
    def code(self) -> int:
        """FAULT for a fault that was seen, else 0."""
        return FAULT if self.faults else 0

    @property
    def words(self) -> str:
        """The faults in one line, the first ones named."""
        told = [_words(one) for one in self.faults[:3]]
        more = [f"and {len(self.faults) - 3} more"] if len(self.faults) > 3 else []
        return "; ".join([*told, *more])


def decide(
    hook: str, findings: Sequence[Finding], snapshot: Snapshot, environ: Mapping[str, str]
) -> Decision:
    """healthcheck: every fault of the node. prolog, epilog: those of the job's own GPUs.

    Where what Slurm said can be read in several ways, every one of them must have a fault.
    """
    failed = [one for one in findings if one.verdict is Verdict.FAIL]
    if hook == "healthcheck":
        return Decision(tuple(failed))
    words = named(environ)
    if words is None:
        return Decision(doubt="what Slurm calls the job's GPUs cannot be read")
    if not words:
        return Decision()
    readings = [tuple(_concern(failed, each)) for each in own(snapshot, words)]
    if not readings:
        return Decision(doubt="the job's GPUs are slices that Slurm numbers in an order of its own")
    return Decision(readings[0]) if all(readings) else Decision()


def _concern(failed: Iterable[Finding], job: Own) -> Iterable[Finding]:
    for one in failed:
        lost = job.gone and one.name in _OF_THE_LOST
        if one.gpu in job.indices or (one.gpu is None and (one.name in _SHARED or lost)):
            yield one


def _words(one: Finding) -> str:
    place = "" if one.gpu is None else f"GPU {one.gpu} "
    return f"{place}{one.name}: {short(one.seen, 80)}"
