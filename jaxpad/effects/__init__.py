"""What each flag of a profile does to the compiled program, for one GPU and workload.

    told = effects.explain(effects.Question(profile, gpu, workload))
    told.whole.verdict, [flag.alone.verdict for flag in told.flags]

Programs are compiled in children for GPUs that are not there, and kept on disk; nothing
here imports JAX in the calling process. What the verdicts mean is in docs/explain.md.
"""

from jaxpad.effects.compilation import Effort, Watcher, compute, fresh, releases
from jaxpad.effects.explanation import (
    Answers,
    Explanation,
    FlagEffects,
    Question,
    cells,
    explain,
    explain_all,
    told,
)
from jaxpad.effects.model import DEFAULT, NEITHER, Cell, Effect, NoProgramError, Outcome, Verdict
from jaxpad.effects.processes import serve

__all__ = [
    "DEFAULT",
    "NEITHER",
    "Answers",
    "Cell",
    "Effect",
    "Effort",
    "Explanation",
    "FlagEffects",
    "NoProgramError",
    "Outcome",
    "Question",
    "Verdict",
    "Watcher",
    "cells",
    "compute",
    "explain",
    "explain_all",
    "fresh",
    "releases",
    "serve",
    "told",
]
