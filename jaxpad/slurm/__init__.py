"""Smoke runs on a Slurm cluster: which nodes, a job for each, then one job for all.

    choice = slurm.survey(wanted)        # fit nodes, and why others are not
    whole = slurm.whole(plan, choice)    # both stages; `whole.verdict`, `whole.fleet`

Slurm does the scheduling; nothing here waits without end, and a signal loses no report.
"""

from jaxpad.slurm._call import require
from jaxpad.slurm._commands import Suite, inside
from jaxpad.slurm._nodes import Choice, Node
from jaxpad.slurm._plan import Plan
from jaxpad.slurm._survey import survey
from jaxpad.slurm._whole import whole

__all__ = ["Choice", "Node", "Plan", "Suite", "inside", "require", "survey", "whole"]
