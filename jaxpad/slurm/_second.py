"""The second stage: processes on all nodes that passed, in one run."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from jaxpad import multi
from jaxpad.engines import _slurm as words
from jaxpad.multi import Expected, MultiReport
from jaxpad.slurm._call import Refused, ask
from jaxpad.slurm._follow import Ending, Patience, follow
from jaxpad.slurm._nodes import Node
from jaxpad.slurm._plan import Plan
from jaxpad.slurm._told import Told
from jaxpad.stages import Second

_TAKEN_AWAY = ("CANCELLED", "PREEMPTED", "REVOKED")  # no fault of a process


def second(plan: Plan, nodes: Sequence[Node], told: Told, patience: Patience) -> Second:
    """Run it, and say what all processes say together."""
    _clear(plan.multi)
    tasks = plan.processes(nodes)
    told.say(f"multi-process run: {tasks} process(es) on each of {len(nodes)} node(s)")
    try:
        job = ask(words.sbatch_argv(plan.multi_job(nodes))).strip().partition(";")[0]
    except Refused as error:
        return Second(None, f"Slurm refuses the multi-process job: {error}")
    endings: list[Ending] = []

    def ended(_name: str, ending: Ending) -> None:
        endings.append(ending)

    follow(plan.name, {"multi": job}, patience, ended, told.waiting)
    if not endings[0].started:
        return Second(None, f"the multi-process job did not start: {endings[0].why}")
    if endings[0].state in _TAKEN_AWAY:
        return Second(None, f"the multi-process job was ended by others: {endings[0].state}")
    return Second(merged(plan, nodes), _unusual(endings[0]))


def merged(plan: Plan, nodes: Sequence[Node]) -> MultiReport:
    """What the processes wrote, held to what was started."""
    ranks, gpus = plan.ranks(nodes), plan.gpus(nodes)
    devices = gpus // plan.processes(nodes) if gpus else None
    return multi.merge(plan.multi, Expected(len(ranks), devices, plan.suite.platform, ranks))


def _unusual(ending: Ending) -> str:
    return "" if ending.state in ("COMPLETED", "FAILED") else f"its job: {ending.state}"


def _clear(folder: Path) -> None:
    """Take away the ranks of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("rank-*.json"):
        with contextlib.suppress(OSError):
            file.unlink()
