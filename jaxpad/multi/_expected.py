"""What the caller of `merge` knows: how many processes there should be, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """What was started. None or empty: take it from what the processes say.

    `nodes` names the node of each rank, in the order of ranks; a rank that never wrote
    anything can then be placed.
    """

    processes: int | None = None
    devices: int | None = None  # of each process
    platform: str = ""  # gpu or cpu
    nodes: tuple[str, ...] = ()
    run: str = ""  # of the records to take; others are set aside
