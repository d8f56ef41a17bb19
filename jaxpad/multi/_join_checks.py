"""Checks, rates and pairs of many records as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jaxpad.multi._odd import places
from jaxpad.multi._record import SHARED, Check, Pair, Rate, Record
from jaxpad.verdict import Verdict, overall


def checks(records: Sequence[Record]) -> tuple[Check, ...]:
    """Each question once: the worst answer, and where it was given."""
    by_name: dict[str, list[tuple[int, Check]]] = {}
    for one in records:
        for check in one.checks:
            by_name.setdefault(check.name, []).append((one.rank, check))
    nodes = {one.rank: one.node for one in records}
    return tuple(_worst(answers, nodes) for answers in by_name.values())


def _worst(answers: Sequence[tuple[int, Check]], nodes: dict[int, str]) -> Check:
    worst = overall(check.verdict for _, check in answers)
    ranks = [rank for rank, check in answers if check.verdict is worst]
    check = next(check for _, check in answers if check.verdict is worst)
    bad = worst in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    if not bad or check.name in SHARED:
        return check
    return replace(check, reason=f"on {places(ranks, nodes)}: {check.reason}")


def rates(records: Sequence[Record]) -> tuple[Rate, ...]:
    """Of each collective and size the least that a process reports."""
    found: dict[tuple[str, int], Rate] = {}
    for rate in (rate for one in records for rate in one.rates):
        key = (rate.kind, rate.bytes)
        if key not in found or rate.gb_per_s < found[key].gb_per_s:
            found[key] = rate
    return tuple(found.values())


def pairs(records: Sequence[Record]) -> tuple[Pair, ...]:
    """Of each pair of nodes the least rate that a process reports."""
    found: dict[tuple[str, ...], Pair] = {}
    for pair in (pair for one in records for pair in one.pairs):
        if pair.nodes not in found or pair.gb_per_s < found[pair.nodes].gb_per_s:
            found[pair.nodes] = pair
    return tuple(found.values())
