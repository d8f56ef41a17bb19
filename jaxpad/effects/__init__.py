"""What each flag of a profile does to the compiled program, for one GPU and workload.

    told = effects.explain(effects.Question(profile, gpu, workload))
    told.whole.verdict, [flag.alone.verdict for flag in told.flags]

Programs are compiled in children for GPUs that are not there, and kept on disk; nothing
here imports JAX in the calling process. What the verdicts mean is in docs/explain.md.
"""

from jaxpad.effects._compute import Watcher
from jaxpad.effects._explain import Explanation, FlagEffects, Question, explain
from jaxpad.effects._judge import Effect, Verdict
from jaxpad.effects._model import NoProgramError

__all__ = [
    "Effect",
    "Explanation",
    "FlagEffects",
    "NoProgramError",
    "Question",
    "Verdict",
    "Watcher",
    "explain",
]
