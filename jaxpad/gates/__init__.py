"""Is each GPU as fast as its model should be, and if not, why? Judged from plain data.

    evidence = Evidence(survey, trace, bounds)
    judgements = judge(rates, evidence)  # each rate held to its peak, then to its peers
    of_judgements(judgements)  # one answer: verdict, reason, remedy

No JAX is imported and no driver asked: tests judge rates and machines that never were.
"""

from jaxpad.gates.evidence import Evidence
from jaxpad.gates.judging import (
    Answer,
    all_ours,
    all_used,
    judge,
    of_findings,
    of_judgements,
    where,
)
from jaxpad.gates.watched import clocked, counters, slowed, stayed

__all__ = [
    "Answer",
    "Evidence",
    "all_ours",
    "all_used",
    "clocked",
    "counters",
    "judge",
    "of_findings",
    "of_judgements",
    "slowed",
    "stayed",
    "where",
]
