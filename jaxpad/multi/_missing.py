"""Ranks that wrote nothing, and the nodes they should be on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jaxpad.multi._expected import Expected
from jaxpad.multi._read import Gathered
from jaxpad.multi._record import Record

UNKNOWN = "a node that is not known"


def missing(gathered: Gathered, expected: Expected, count: int) -> dict[int, str]:
    """Node by rank, for each rank under `count` that has no record."""
    spoken = {one.rank for one in gathered.records}
    absent = [rank for rank in range(min(count, 1_000_000)) if rank not in spoken]
    listed = expected.nodes or _by_rank(gathered.records, count)
    return {rank: listed[rank] if rank < len(listed) else UNKNOWN for rank in absent}


def _by_rank(records: Sequence[Record], count: int) -> tuple[str, ...]:
    """The node of each rank if they were dealt in blocks, as Slurm does unless told otherwise.

    Only where that holds for all who spoke.
    """
    nodes = next((one.nodes for one in records if one.nodes), ())
    if not nodes or count % len(nodes):
        return _alone(records, nodes, count)
    each = count // len(nodes)
    dealt = tuple(node for node in nodes for _ in range(each))
    fits = all(one.rank < count and dealt[one.rank] == one.node for one in records)
    return dealt if fits else _alone(records, nodes, count)


def _alone(records: Sequence[Record], nodes: Sequence[str], count: int) -> tuple[str, ...]:
    """The one node from which nobody spoke, if there is one, for all who are missing."""
    spoken = Counter(one.node for one in records)
    silent = [node for node in nodes if node not in spoken]
    return tuple(silent * count) if len(silent) == 1 else ()
