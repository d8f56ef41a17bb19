"""Search the XLA flags of a space for the profile that makes one program really faster.

    with tune.opened(folder, key) as study:
        tuned = tune.Run(tune.Request(space, target, …), study).go()

Candidates are compiled first: what XLA refuses, what breaks, what does not fit and what comes
out as the same program is never measured. Each distinct program is then held to the baseline,
turn by turn in two processes, and the best one is measured again afresh before it is named.
What the words mean is in docs/tune.md. Nothing here imports JAX in the calling process.
"""

from jaxpad.tune._bench import Bench
from jaxpad.tune._compile import Target, Watcher as CompileWatcher
from jaxpad.tune._json import FILE as JSON_FILE, SCHEMA, from_json, text, to_json
from jaxpad.tune._machine import Machine, find as find_machine
from jaxpad.tune._model import Candidate, Compiled, End, Fate, Measured, Pair, Ratio, Tuned
from jaxpad.tune._profile import (
    Target as ProfileFile,
    replace,
    require_free,
    write as write_profile,
)
from jaxpad.tune._run import Meter, Request, Run, Watcher, summary, undecided
from jaxpad.tune._space import Space, load as load_space
from jaxpad.tune._step import Effort, Step
from jaxpad.tune._study import KEY, Study, key_digest, opened

__all__ = [
    "JSON_FILE",
    "KEY",
    "SCHEMA",
    "Bench",
    "Candidate",
    "CompileWatcher",
    "Compiled",
    "Effort",
    "End",
    "Fate",
    "Machine",
    "Measured",
    "Meter",
    "Pair",
    "ProfileFile",
    "Ratio",
    "Request",
    "Run",
    "Space",
    "Step",
    "Study",
    "Target",
    "Tuned",
    "Watcher",
    "find_machine",
    "from_json",
    "key_digest",
    "load_space",
    "opened",
    "replace",
    "require_free",
    "summary",
    "text",
    "to_json",
    "undecided",
    "write_profile",
]
