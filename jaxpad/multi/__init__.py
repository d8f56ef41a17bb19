"""What each process of a multi-node job runs, and the merge of what they say.

    multi.main(multi.MultiOptions(out="multi-report"))  # in each process; returns its exit code
    report = multi.merge(Path("multi-report"), multi.Expected(processes=16, platform="gpu"))
    report.verdict, report.blame  # and who is at fault, by rank and node

Nothing here imports JAX before a process has to.
"""

from jaxpad.commands.machine import MultiOptions
from jaxpad.multi.merging import merge
from jaxpad.multi.process import main
from jaxpad.multi.record import (
    MARK,
    Aside,
    Check,
    End,
    Expected,
    Gathered,
    Identity,
    Pair,
    Rate,
    Record,
    Stage,
    read,
    read_logs,
)
from jaxpad.multi.report import Blame, Fault, MultiReport, NodeResult, RankResult

__all__ = [
    "MARK",
    "Aside",
    "Blame",
    "Check",
    "End",
    "Expected",
    "Fault",
    "Gathered",
    "Identity",
    "MultiOptions",
    "MultiReport",
    "NodeResult",
    "Pair",
    "RankResult",
    "Rate",
    "Record",
    "Stage",
    "main",
    "merge",
    "read",
    "read_logs",
]
