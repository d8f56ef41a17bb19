"""What is known of a fleet, as plain data: the content of fleet.json.

`fleet.schema.json` is the same thing for readers of the JSON; a test holds the two together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from jaxpad.core.results import Verdict, overall

SCHEMA_VERSION = 1
PEERS = "fleet::peers"  # the check that a node's own report cannot make


@dataclass(frozen=True)
class Node:
    """One node. `drain` is why it should take no more jobs; empty where it may."""

    name: str
    state: str  # "tested", "set aside", "missing" or "not tested"
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    drain: str = ""


@dataclass(frozen=True)
class SetAside:
    """A report, or a folder, that nothing was taken from."""

    folder: str  # printable, not quoted
    why: str
    remedy: str


@dataclass(frozen=True)
class Problem:
    """One check with one reason, on all the nodes where it is so.

    `shared`: most nodes of their kind fail it for this reason, so that it is the fleet's and
    drains nobody. Reasons that differ in numbers alone are one; `reason` has the
    words of the first node. What nodes do together is a check, too: its own nodes are those
    that are at fault, or all that took part, of whom there are `among`.
    """

    check: str
    verdict: Verdict
    reason: str
    remedy: str
    nodes: tuple[str, ...]
    among: int  # tested nodes with the same GPU models
    shared: bool = False


@dataclass(frozen=True)
class Outlier:
    """One number of one node that is far from the same number of its peers."""

    node: str
    place: str  # "GPU 3"; empty: the node as a whole
    what: str  # "gemm bf16, all at once"
    model: str  # of the GPUs it is compared among
    value: float
    unit: str
    median: float  # of all, itself included
    deviations: float | None  # robust standard deviations; None: all the others are the same
    peers: int  # the others
    slow: bool  # a rate of a GPU, below its peers

    @property
    def distance(self) -> float:
        """From the median, as a part of it; below it is negative."""
        return (self.value - self.median) / abs(self.median)


@dataclass(frozen=True)
class Difference:
    """A value that is not the majority's, and the nodes that have it."""

    value: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """A version, flag or setting that is not the same on all nodes."""

    name: str
    majority: str  # the commonest value
    count: int  # nodes that have it
    others: tuple[Difference, ...]


@dataclass(frozen=True)
class Distribution:
    """One number over all that is comparable. `counts`: in equal steps from least to most."""

    what: str
    model: str
    unit: str
    nodes: int
    samples: int
    least: float
    median: float
    deviation: float  # robust standard deviation: 1.4826 times the MAD
    most: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Fleet:
    """All nodes, and what shows only when they are laid side by side."""

    jaxpad: str  # version of jaxpad
    folder: str
    made: str  # ISO 8601, UTC
    oldest: str  # start of the oldest run; empty: there is none
    newest: str
    nodes: tuple[Node, ...]
    set_aside: tuple[SetAside, ...] = ()
    problems: tuple[Problem, ...] = ()
    outliers: tuple[Outlier, ...] = ()
    drift: tuple[Drift, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    unexpected: tuple[str, ...] = ()  # nodes that are here and were not expected
    rules: tuple[str, ...] = ()  # the bounds in force, in words, with their sources

    @property
    def verdict(self) -> Verdict:
        """The worst of its nodes and problems.

        What was set aside is inconclusive, and so is no node.
        """
        aside = [Verdict.INCONCLUSIVE] * bool(self.set_aside)
        problems = (problem.verdict for problem in self.problems)
        return overall([*(node.verdict for node in self.nodes), *problems, *aside])

    @property
    def to_drain(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.drain)

    @property
    def shared(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.shared)

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes got each verdict."""
        found = Counter(node.verdict for node in self.nodes)
        return {verdict.value: found[verdict] for verdict in Verdict}
