"""How fast this machine's devices are: programs, the clock, and the check of their numbers.

    gemm = Gemm("bf16", 8192)
    verify(gemm, jax.devices())  # raises checks.Failed where a number is wrong
    rates = run(gemm, jax.devices(), together=True)

The same programs run on a CPU, smaller, and compile for GPUs that are not there
(`program.build`). Method, formulas and their sources: docs/throughput.md.
"""

from jaxpad.throughput.compute import Attention, Gemm, Scale, Train, decoder, free_bytes, scale
from jaxpad.throughput.measure import Batch, Clock, Disturbance, run, steadiest, steady, verify
from jaxpad.throughput.memory import (
    KINDS,
    Collective,
    Copy,
    DeviceToDevice,
    DeviceToHost,
    HostToDevice,
    Triad,
    bus_factor,
    capability,
    half,
    pinned,
    why_not,
)
from jaxpad.throughput.program import AXIS, Answer, Program, alone, as_one
from jaxpad.throughput.trust import Taking, Watched, scales, waits, watched

__all__ = [
    "AXIS",
    "KINDS",
    "Answer",
    "Attention",
    "Batch",
    "Clock",
    "Collective",
    "Copy",
    "DeviceToDevice",
    "DeviceToHost",
    "Disturbance",
    "Gemm",
    "HostToDevice",
    "Program",
    "Scale",
    "Taking",
    "Train",
    "Triad",
    "Watched",
    "alone",
    "as_one",
    "bus_factor",
    "capability",
    "decoder",
    "free_bytes",
    "half",
    "pinned",
    "run",
    "scale",
    "scales",
    "steadiest",
    "steady",
    "verify",
    "waits",
    "watched",
    "why_not",
]
