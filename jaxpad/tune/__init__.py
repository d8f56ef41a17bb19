"""Search the XLA flags of a space for the profile that makes one program really faster.

    with tune.opened(folder, key) as study:
        tuned = tune.Run(tune.Request(space, target, …), study).go()

Candidates are compiled first: what XLA refuses, what breaks, what does not fit and what comes
out as the same program is never measured. Each distinct program is then held to the baseline,
turn by turn in two processes, and the best one is measured again afresh before it is named.
What the words mean is in docs/tune.md. Nothing here imports JAX in the calling process.
"""

from jaxpad.tune.compiling import Target, Watcher as CompileWatcher
from jaxpad.tune.measure import Bench
from jaxpad.tune.model import (
    Candidate,
    Compiled,
    Effort,
    End,
    Fate,
    Measured,
    Pair,
    Ratio,
    Step,
    Tuned,
)
from jaxpad.tune.runs import (
    Meter,
    Request,
    Run,
    Target as ProfileFile,
    Watcher,
    replace,
    require_free,
    summary,
    undecided,
    write as write_profile,
)
from jaxpad.tune.spaces import Machine, Space, find as find_machine, load as load_space
from jaxpad.tune.study import (
    JSON_FILE,
    KEY,
    SCHEMA,
    Study,
    from_json,
    key_digest,
    opened,
    text,
    to_json,
)

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
