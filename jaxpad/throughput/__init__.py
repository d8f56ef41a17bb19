"""How fast this machine's devices are: programs, the clock, and the check of their numbers.

    gemm = Gemm("bf16", 8192)
    verify(gemm, jax.devices())  # raises checks.Failed where a number is wrong
    rates = run(gemm, jax.devices(), together=True)

The same programs run on a CPU, smaller, and compile for GPUs that are not there
(`program.build`). Method, formulas and their sources: docs/throughput.md.
"""

from jaxpad.throughput._attention import Attention
from jaxpad.throughput._clock import Batch, Clock
from jaxpad.throughput._collective import KINDS, Collective, bus_factor
from jaxpad.throughput._disturb import Disturbance
from jaxpad.throughput._gemm import Gemm
from jaxpad.throughput._program import AXIS, Answer, Program, alone, as_one
from jaxpad.throughput._run import run
from jaxpad.throughput._scale import Scale, free_bytes, scale
from jaxpad.throughput._steady import steadiest, steady
from jaxpad.throughput._stream import Copy, Triad
from jaxpad.throughput._supports import capability, half, why_not
from jaxpad.throughput._train import Train, decoder
from jaxpad.throughput._transfer import DeviceToDevice, DeviceToHost, HostToDevice, pinned
from jaxpad.throughput._trust import Taking, Watched, scales, waits, watched
from jaxpad.throughput._verify import verify

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
