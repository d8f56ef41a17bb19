"""Many effects of one flag as one: the strongest over workloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jaxpad.effects import NEITHER, Verdict
from jaxpad.matrix._model import Effects

# From what stops a process to what does nothing.
STRENGTH = (
    Verdict.FATAL,
    Verdict.REJECTED,
    Verdict.BREAKS,
    Verdict.CHANGES,
    Verdict.UNDECIDED,
    Verdict.RUN_TIME,
    Verdict.NO_EFFECT,
)


def strongest(effects: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The effect that outranks the others, None where there is none."""
    ranks = {str(verdict): rank for rank, verdict in enumerate(STRENGTH)}
    return min(effects, key=lambda effect: ranks[effect["verdict"]], default=None)


def of_flag(rows: Iterable[Effects], name: str, **where: str) -> Iterator[Mapping[str, Any]]:
    """What a flag does alone and left out, in the rows that match.

    Where the whole profile does not compile, what leaving a flag out does says nothing.
    """
    for row in rows:
        if all(row[key] == value for key, value in where.items()):
            for flag in row["flags"]:
                if flag["name"] == name:
                    both = (flag["alone"], flag["left_out"])
                    yield from (
                        one for one in both if not one.get("reason", "").startswith(NEITHER)
                    )


def names(rows: Iterable[Effects]) -> tuple[str, ...]:
    """The flags in rows, in their order, each once."""
    return tuple(dict.fromkeys(flag["name"] for row in rows for flag in row["flags"]))


def values(rows: Iterable[Effects]) -> dict[str, str]:
    """The value of each flag."""
    return {flag["name"]: flag["value"] for row in rows for flag in row["flags"]}
