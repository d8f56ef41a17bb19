"""Wait until the GPUs are at rest before they are timed: each begins as cool as the next run."""

from __future__ import annotations

import time
from collections.abc import Callable

from jaxpad.nvml import GpuTrace, Sampler, Trace

PATIENCE_S = 20.0
LOOK_S = 3.0  # longer than the window over which NVML counts utilisation
EVERY_S = 0.5
CELSIUS = 1.0  # that a chip at rest may wander
PERCENT = 5.0


def settle(sampler: Sampler, waiting: Callable[[], None]) -> None:
    """Back when all GPUs are at rest, or after PATIENCE_S; `waiting` is told before a wait."""
    begun = time.monotonic()
    waiting()
    while time.monotonic() - begun < PATIENCE_S and not at_rest(sampler.trace()):
        time.sleep(EVERY_S)


def at_rest(trace: Trace) -> bool:
    """No GPU computes, and none cools down, by the last LOOK_S seconds of its samples.

    A GPU that tells neither, or was lost, is not waited for.
    """
    return trace.error is not None or all(map(_at_rest, trace.gpus))


def _at_rest(gpu: GpuTrace) -> bool:
    if gpu.lost or not gpu.time_s:
        return True
    stop = gpu.time_s[-1]
    if stop - gpu.time_s[0] < LOOK_S:
        return False
    first = next(at for at, time_s in enumerate(gpu.time_s) if time_s >= stop - LOOK_S)
    busy = [value for value in gpu.columns["utilisation_percent"][first:] if value is not None]
    heat = [value for value in gpu.columns["temperature_celsius"][first:] if value is not None]
    wandered = max(heat, default=0.0) - min(heat, default=0.0)
    return max(busy, default=0.0) <= PERCENT and wandered <= CELSIUS
