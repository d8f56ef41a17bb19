"""Both stages of a run on a cluster: what each node is asked, and what they all come to."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar

from jaxpad import fleet
from jaxpad.core.results import Verdict, overall
from jaxpad.core.text import brief_list
from jaxpad.fleet import Fleet, Node, Problem
from jaxpad.multi import MultiReport, NodeResult


@dataclass(frozen=True)
class Suite:
    """The smoke suite as every node runs it. How bounds get there is the engine's affair."""

    platform: str  # gpu or cpu
    limit: float
    profile: str | None = None  # by a name or path that is true on the nodes
    select: str | None = None
    strict: bool = False
    redact: bool = True
    expect: int | None = field(default=None, kw_only=True)  # GPUs of each node
    allow: tuple[str, ...] = field(default=(), kw_only=True)

    def words(self, out: Path) -> list[str]:
        """The options of `smoke`, for a report in the folder `out` of the node."""
        words = ["--platform", self.platform, "--limit", f"{self.limit:g}", "--out", str(out)]
        words += ["--profile", self.profile] if self.profile else []
        words += ["-k", self.select] if self.select else []
        words += ["--strict"] if self.strict else []
        words += [] if self.expect is None else ["--expect", str(self.expect)]
        words += ["--allow", shlex.join(self.allow)] if self.allow else []
        return [*words, *([] if self.redact else ["--no-redact"])]


# What people see while a run goes on: a line for each thing that happens.

EVERY_S = 30.0  # that nothing happened
_NAMED = 3
Left = TypeVar("Left", bound=Sized)


@dataclass
class Told(Generic[Left]):
    """Says how far the run has come, on stderr; `standing` has words for what is left of it."""

    total: int
    standing: Callable[[Left], str]
    begun: float = field(default_factory=time.monotonic)
    done: int = 0
    last: float = field(default_factory=time.monotonic)

    def node(self, name: str, words: str) -> None:
        """A node is done with."""
        self.done += 1
        self.say(f"[{self.done}/{self.total}] {name}: {words}")

    def say(self, words: str) -> None:
        self.last = time.monotonic()
        sys.stderr.write(f"{self.last - self.begun:5.0f} s  {words}\n")
        sys.stderr.flush()

    def waiting(self, left: Left) -> None:
        """What we wait for, now and then."""
        if left and time.monotonic() - self.last > EVERY_S:
            self.say(self.standing(left))


def some(names: Sequence[str]) -> str:
    """The first of many, and how many more there are."""
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


# What both stages say of the nodes, as one fleet.

RUN = "multi-process run"
_AGAIN = "fix what kept it from an answer, and run the smoke suite on these nodes again"
_LOOK = "see what each process says in multi.json, and run the smoke suite on these nodes again"


@dataclass(frozen=True)
class Second:
    """What the processes of all nodes say together, or why they say nothing."""

    report: MultiReport | None
    why: str = ""

    @property
    def verdict(self) -> Verdict:
        return self.report.verdict if self.report else Verdict.INCONCLUSIVE


@dataclass(frozen=True)
class Whole:
    """What is known of all nodes, alone and together: the fleet has both."""

    fleet: Fleet
    second: Second | None  # None: there was nothing to run together
    signal_code: int = 0  # of a signal that ended the run early

    @property
    def exit_code(self) -> int:
        """The verdict's; 128 + N where signal N ended the run."""
        return self.signal_code or self.verdict.exit_code

    @property
    def verdict(self) -> Verdict:
        """The worst of both stages, as fleet.json has it."""
        return self.fleet.verdict


def whole(first: Fleet, second: Second | None, nodes: Sequence[str]) -> Whole:
    """Both stages: the fleet of the first with what the second found on `nodes`."""
    if second is None or not second.verdict.exit_code:
        return Whole(first, second)
    found = _blamed(first, second.report) if second.report else first
    return Whole(fleet.also(found, _problem(second, nodes)), second)


def _problem(second: Second, nodes: Sequence[str]) -> Problem:
    """What is wrong with the run: on the nodes that it blames, else on all of them."""
    report, verdict = second.report, second.verdict
    at_fault = tuple(n.node for n in report.nodes if n.verdict is verdict) if report else ()
    reasons = filter(None, (report.why if report else "", second.why))
    return Problem(
        check=RUN,
        verdict=verdict,
        reason=brief_list("; ".join(reasons), 500),
        remedy=_LOOK if report else _AGAIN,
        nodes=at_fault or tuple(nodes),
        among=len(nodes),
        shared=verdict is Verdict.FAIL and not at_fault,
    )


def _blamed(found: Fleet, report: MultiReport) -> Fleet:
    """The fleet with what the multi-process run says of its nodes."""
    of = {node.node: node for node in report.nodes if node.verdict.exit_code}
    nodes = (_with(node, of[node.name]) if node.name in of else node for node in found.nodes)
    return replace(found, nodes=tuple(nodes))


def _with(node: Node, said: NodeResult) -> Node:
    reasons = (f"{RUN}: {reason}" for reason in said.reasons)
    verdict = overall((node.verdict, said.verdict))
    return replace(node, verdict=verdict, reasons=(*node.reasons, *reasons))
