"""What the tuner saves beside a loop over every candidate, and what it costs itself.

    python -m benchmarks.tune [WORKLOAD]

Both search the shipped CPU space for the same step, in one run: the loop starts a process for
each candidate and times it beside the baseline, as people's shell loops do; the tuner compiles
first and measures distinct programs. Look at:

- measurements: the tuner's, each start of its confirmation counted as one, over the loop's;
- winner: the loop's best and the tuner's, held to the baseline anew on the same inputs. The
  tuner's is within noise where the two intervals meet, and the tuner may also name none where
  the loop's best is not ahead of the baseline either;
- overhead: seconds of the tuner's run that are neither compiling nor measuring.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from pathlib import Path

from benchmarks import results
from jaxpad import tune

STEP, SEED = "benchmarks.steps:mlp", 0
SHORT = tune.Effort(pairs=8, least=8)  # what the loop spends on each: it has many to go


def main(workload: str) -> None:
    """Run both and keep the ratios."""
    space = tune.load_space("cpu", "cpu")
    best = _loop(space, workload)
    found, overhead = _tuned(space, workload)
    made = len(found.measured) + sum(map(_starts, found.confirmed))
    command = f"python -m benchmarks.tune {workload}"
    results.note(
        "tune-measurements",
        what="programs that profile.tune measures / candidates that a loop measures",
        value=f"{made} / {space.size} = {made / space.size:.2f}",
        command=command,
    )
    results.note(
        "tune-winner",
        what="speed-up of the tuner's winner, and of the loop's best, both measured anew",
        value=_held(workload, found.winner or tune.Candidate(), best),
        command=command,
    )
    results.note(
        "tune-overhead",
        what="share of profile.tune's run outside compiling and measuring",
        value=f"{overhead:.1%}",
        command=command,
    )


def _loop(space: tune.Space, workload: str) -> tune.Candidate:
    """The candidate that is furthest ahead when each is measured once."""
    found = []
    with tune.Bench(tune.Step(workload), SHORT) as bench:
        for one in space.candidates():
            told = bench.measure(one, "", seed=SEED, best=None)
            if told.ratio and told.end is tune.End.MEASURED:
                found.append((told.ratio.value, one))
    if not found:
        sys.exit("every candidate was disturbed or stopped: run this on a machine at rest")
    return max(found, key=lambda pair: pair[0])[1]


def _tuned(space: tune.Space, workload: str) -> tuple[tune.Tuned, float]:
    """The tuner's result, and the share of its time that is its own."""
    with tempfile.TemporaryDirectory() as folder, tune.opened(Path(folder), {}) as study:
        request = tune.Request(
            space=space,
            target=tune.Target(workload),
            about={"baseline": ""},
            seed=SEED,
            bench=lambda: tune.Bench(tune.Step(workload), tune.Effort()),
        )
        found = tune.Run(request, study).go()
    return found, found.seconds["other"] / sum(found.seconds.values())


def _starts(confirmed: tune.Measured) -> int:
    """How many times both processes were started for a confirmation."""
    return round(len(confirmed.pairs) / tune.Effort().start_pairs)


def _held(workload: str, *both: tune.Candidate) -> str:
    effort = dataclasses.replace(tune.Effort(), confirm_level=0.95)
    with tune.Bench(tune.Step(workload), effort) as bench:
        told = [bench.confirm(one, "", seed=SEED + 7) for one in both]
    ratios = [one.ratio for one in told]
    return " and ".join(
        f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})" if one else "none" for one in ratios
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else STEP)
