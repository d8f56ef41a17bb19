"""What each process of a multi-node job runs, and the merge of what they say.

    multi.main(multi.Options(out="multi-report"))  # in each process; returns its exit code
    report = multi.merge(Path("multi-report"), multi.Expected(processes=16, platform="gpu"))
    report.verdict, report.blame  # and who is at fault, by rank and node

Nothing here imports JAX before a process has to.
"""

from jaxpad.multi._expected import Expected
from jaxpad.multi._merge import merge
from jaxpad.multi._options import Options
from jaxpad.multi._read import Aside, Gathered, read, read_logs
from jaxpad.multi._record import Check, End, Identity, Pair, Rate, Record, Stage
from jaxpad.multi._report import Blame, Fault, MultiReport, NodeResult, RankResult
from jaxpad.multi._run import MARK, main

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
    "MultiReport",
    "NodeResult",
    "Options",
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
