"""Which nodes there are, and which of them to test."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxpad.cluster import Cluster
from jaxpad.errors import UsageError

# Base states of a node that takes no job, of those `sinfo` prints in full (man sinfo, NODE STATE
# CODES). The signs behind a state: * does not answer, $ in maintenance, ! and % being powered off.
_DEAD = ("down", "drained", "draining", "drain", "fail", "failing", "error", "unknown", "inval")
_GOING = ("future", "perfctrs", "blocked", "reboot", "reboot_issued", "power_down", "powering_down")
_SIGNS = "*~#!%$@^-"
_GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")


@dataclass(frozen=True)
class Node:
    """A node as Slurm sees it."""

    name: str
    state: str  # such as idle, or down*
    gpus: int = 0
    reason: str = ""  # of an admin, why it is down or drained

    @property
    def unfit(self) -> str | None:
        """Why no job can start on it, None where one can."""
        base = self.state.rstrip(_SIGNS)
        if self.state.endswith("*"):
            words = f"{base}, and it does not answer"
        elif base in (*_DEAD, *_GOING):
            words = base
        else:
            return None
        return f"{words}: {self.reason}" if self.reason else words

    @property
    def idle(self) -> bool:
        return self.state.rstrip(_SIGNS) == "idle"


@dataclass(frozen=True)
class Choice:
    """The nodes to test, and why others that were asked for are not."""

    tested: tuple[Node, ...]
    not_tested: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All that were asked for."""
        return (*(node.name for node in self.tested), *self.not_tested)


def parse(text: str, partition: str = "") -> tuple[Node, ...]:
    """The nodes in what sinfo printed, each once.

    Without a partition those of the default one, where a job goes that names none; all nodes
    where there is no default.
    """
    rows = [line.split("|", 4) for line in text.splitlines() if line.count("|") >= 4]
    default = [row for row in rows if row[3].endswith("*")]
    chosen = rows if partition or not default else default
    return tuple({row[0]: _node(row) for row in chosen}.values())


def _node(row: Sequence[str]) -> Node:
    name, state, gres, _, reason = row
    gpus = sum(map(int, _GPUS.findall(gres)))
    return Node(name, state, gpus, "" if reason in ("none", "(null)") else reason)


def choose(
    nodes: Iterable[Node], wanted: Cluster, within: Sequence[str], without: Sequence[str]
) -> Choice:
    """The nodes that were asked for: those named in `within`, else all; none of `without`.

    A count takes idle nodes first, then busy ones, and unfit ones only where the others are too
    few. Raises UsageError where there are not as many, or one that was named does not exist.
    """
    known = {node.name: node for node in nodes}
    missing = [name for name in within if name not in known]
    if missing:
        raise UsageError(f"there is no node {missing[0]} in {_where(wanted)}; see sinfo --Node")
    pool = [known[name] for name in within or known if name not in without]
    first = sorted(pool, key=_preference)[: wanted.nodes]
    pool = [node for node in pool if node in first]  # in Slurm's order, which is that of ranks
    if not pool or len(pool) < (wanted.nodes or 0):
        raise UsageError(
            f"{_where(wanted)} has {len(pool)} such node(s), {wanted.nodes or 'at least 1'} asked "
            "for; see sinfo --Node"
        )
    unfit = {node.name: node.unfit for node in pool if node.unfit}
    return Choice(tuple(node for node in pool if not node.unfit), unfit)


def _preference(node: Node) -> int:
    return 2 if node.unfit else int(not node.idle)


def _where(wanted: Cluster) -> str:
    if wanted.reservation:
        return f"the reservation {wanted.reservation}"
    if wanted.partition:
        return f"the partition {wanted.partition}"
    return "this cluster" if wanted.nodelist else "the default partition"
