"""What the jobs that are left wait for, in words."""

from __future__ import annotations

from collections.abc import Mapping

from jaxpad import stages
from jaxpad.slurm._follow import Followed
from jaxpad.stages import some

Told = stages.Told[Mapping[str, Followed]]


def standing(left: Mapping[str, Followed]) -> str:
    """`waiting: 3 running (n1, n2, n3), 1 pending (n7: Resources)`."""
    pending = {key: one for key, one in left.items() if one.phase == "waiting"}
    running = [key for key in left if key not in pending]
    parts = [f"{len(running)} running ({some(running)})"] if running else []
    reasons = [f"{key}: {one.seen.reason or 'no reason'}" for key, one in pending.items()]
    parts += [f"{len(pending)} pending ({some(reasons)})"] if pending else []
    return f"waiting: {', '.join(parts)}"
