"""The NVML sampler of a run: in the runner, beside the children that do the work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from jaxpad.nvml import Sampler
from jaxpad.survey import Survey

PERIOD_S = 0.1  # ten samples in the shortest timed program, 10 kB a second on eight GPUs


@contextlib.contextmanager
def watched(survey: Survey) -> Iterator[Sampler | None]:
    """Sample the GPUs that a child has seen answer; None where there is none.

    A library that crashed or hung that child is not loaded into this process.
    """
    if not survey.snapshot.gpus:
        yield None
        return
    with Sampler(period_s=PERIOD_S) as sampler:
        yield sampler
