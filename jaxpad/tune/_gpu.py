"""What the driver saw on the step's GPUs during a turn: a slowdown, somebody else's program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from jaxpad import survey, workloads
from jaxpad.nvml import GpuTrace, Sampler
from jaxpad.nvml._device import Device, started
from jaxpad.nvml._reading import attempt
from jaxpad.nvml._uses import processes
from jaxpad.tune._step import Step

# Hardware slowdown, software and hardware thermal slowdown, power brake (nvml.h). The power cap
# is not among them: a large GPU runs at it all day.
_SLOWED = 0x8 | 0x20 | 0x40 | 0x80


class Watch:
    """Sees the GPUs that the step computes on, by NVML's index, through a sampler that runs."""

    def __init__(self, gpus: Iterable[int], sampler: Sampler) -> None:
        self._gpus, self._sampler = frozenset(gpus), sampler

    def disturbed(self, span: float, ours: int) -> str:
        """Why the last `span` seconds do not count, or nothing; `ours` processes are our own."""
        others = self.programs() - ours
        if others > 0:
            plural = "s" if others > 1 else ""
            return f"shared the GPU with {others} other program{plural}"
        slow = any(_slowed(gpu, span) for gpu in self._traces())
        return "was slowed down by the GPU, for heat or its power supply" if slow else ""

    def programs(self) -> int:
        """Programs that compute on the fullest of the GPUs; 0 where the driver does not tell."""
        with started() as nvml:
            return max((_programs(nvml.value, gpu) for gpu in self._gpus), default=0)

    def _traces(self) -> Iterable[GpuTrace]:
        seen = self._sampler.trace().gpus  # in NVML's order
        return (gpu for index, gpu in enumerate(seen) if index in self._gpus)


@contextlib.contextmanager
def watched(gpus: Iterable[int]) -> Iterator[Watch]:
    """A watch over these GPUs of NVML's list."""
    with Sampler() as sampler:
        yield Watch(gpus, sampler)


def gpus_of(step: Step) -> tuple[int, ...]:
    """The GPUs of a step in NVML's list: those that CUDA counts first.

    Where CUDA's list cannot be held to NVML's, all that are visible to us.
    """
    found = survey.look(os.environ)
    ordinals = range(workloads.load(step.workload).count)
    matched = [each.gpu.index for each in found.match(ordinals) if each.gpu]
    return tuple(sorted(matched or found.visible))


def _slowed(gpu: GpuTrace, span: float) -> bool:
    """Whether it said during the last `span` seconds that it slows down."""
    since = gpu.time_s[-1] - span if gpu.time_s else 0.0
    held = zip(gpu.time_s, gpu.columns["throttle_bits"], strict=True)
    return any(bits is not None and int(bits) & _SLOWED for at, bits in held if at >= since)


def _programs(nvml: object, index: int) -> int:
    if nvml is None:
        return 0
    handle = attempt(nvml.nvmlDeviceGetHandleByIndex, index)  # type: ignore[attr-defined]
    return len(processes(Device(nvml, handle)).compute.value or ())
