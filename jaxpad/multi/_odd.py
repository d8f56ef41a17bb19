"""Who is not as the others: the same questions for a process and for the merge."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_MOST = 8  # nodes named one by one

Nodes = Mapping[int, str]  # node by rank


@dataclass(frozen=True)
class Odd:
    """The ranks that stand out. `sure` is False where no majority says which are right."""

    ranks: tuple[int, ...]
    words: str
    sure: bool = True


def places(ranks: Iterable[int], nodes: Nodes) -> str:
    """Ranks by node in words: "n1 (rank 3), n2 (ranks 4, 5)"."""
    by_node: dict[str, list[int]] = {}
    for rank in sorted(ranks):
        by_node.setdefault(nodes[rank], []).append(rank)
    found = [f"{node} ({ranks_words(those)})" for node, those in by_node.items()]
    rest = len(found) - _MOST
    return ", ".join(found[:_MOST]) + (f" and {rest} more nodes" if rest > 0 else "")


def ranks_words(ranks: Sequence[int]) -> str:
    """Ranks in words."""
    if len(ranks) > 2 and ranks[-1] - ranks[0] == len(ranks) - 1:
        return f"ranks {ranks[0]} to {ranks[-1]}"
    return f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"


def by_value(what: str, values: Mapping[int, str], nodes: Nodes) -> Odd | None:
    """Those whose value is not that of more than half; None if all have the same."""
    groups: dict[str, list[int]] = {}
    for rank, value in sorted(values.items()):
        groups.setdefault(value, []).append(rank)
    if len(groups) < 2:
        return None
    most = max(groups, key=lambda value: len(groups[value]))
    if len(groups[most]) * 2 > len(values):
        odd = {value: ranks for value, ranks in groups.items() if value != most}
        told = [f"{value or 'none'} on {places(ranks, nodes)}" for value, ranks in odd.items()]
        words = f"{what}: {'; '.join(told)}; {most or 'none'} on the others"
        return Odd(tuple(rank for ranks in odd.values() for rank in ranks), words)
    told = [f"{value or 'none'} on {places(ranks, nodes)}" for value, ranks in groups.items()]
    return Odd(tuple(sorted(values)), f"{what}: {'; '.join(told)}", sure=False)


def flags(values: Mapping[int, str], nodes: Nodes) -> Odd | None:
    """`by_value` for XLA_FLAGS, of which only the flags that are not common to all are shown."""
    words = {rank: value.split() for rank, value in values.items()}
    common = set.intersection(*(set(each) for each in words.values())) if words else set()
    short = {rank: " ".join(w for w in each if w not in common) for rank, each in words.items()}
    if len(set(values.values())) > 1 and len(set(short.values())) < 2:
        return by_value("XLA_FLAGS", values, nodes)  # the same words in another order
    return by_value("XLA_FLAGS", short, nodes)


def by_clock(spans: Mapping[int, tuple[float, float]], nodes: Nodes, most_s: float) -> Odd | None:
    """Nodes whose clock is off by more than `most_s`.

    Of each rank the span says how far its clock is ahead of rank 0's: surely between the
    two, in seconds.
    """
    ahead = _by_node({rank: (low + high) / 2 for rank, (low, high) in spans.items()}, nodes)
    widest = max((high - low for low, high in spans.values()), default=0.0) / 2
    middle = statistics.median(ahead.values()) if ahead else 0.0
    if not ahead or max(ahead.values()) - min(ahead.values()) <= most_s + widest:
        return None
    far = {node: at - middle for node, at in ahead.items() if abs(at - middle) > most_s / 2}
    told = [f"{node} by {at:+.3g} s" for node, at in sorted(far.items())[:_MOST]]
    ranks = tuple(rank for rank in sorted(spans) if nodes[rank] in far)
    return Odd(ranks, f"clocks differ: {', '.join(told)} from the middle", len(ahead) > 2)


def _by_node(values: Mapping[int, float], nodes: Nodes) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for rank, value in values.items():
        found.setdefault(nodes[rank], []).append(value)
    return {node: statistics.median(each) for node, each in found.items()}


def by_lag(what: str, lags: Mapping[int, float], nodes: Nodes, most_s: float) -> Odd | None:
    """Ranks that came more than `most_s` after the middle one, in seconds of one clock."""
    middle = statistics.median_low(lags.values()) if lags else 0.0
    late = {rank: lag - middle for rank, lag in lags.items() if lag - middle > most_s}
    if not late:
        return None
    seconds = max(late.values())
    return Odd(
        tuple(sorted(late)), f"{places(late, nodes)} {what} {seconds:.3g} s after the others"
    )
