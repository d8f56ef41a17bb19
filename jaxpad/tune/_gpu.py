"""What the driver saw on the step's GPUs during a turn: a slowdown, somebody else's program."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType

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
    """Samples the GPUs that the step computes on, from `__enter__` on; asks who is on them."""

    def __init__(self, gpus: Iterable[int]) -> None:
        self._gpus = frozenset(gpus)  # by NVML's index
        self._sampler = Sampler()

    def __enter__(self) -> Watch:
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sampler.stop()

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


def watch(step: Step) -> Watch:
    """The watch over the GPUs of a step: those that CUDA counts first, in NVML's list.

    Where CUDA's list cannot be held to NVML's, all that are visible to us.
    """
    found = survey.look(os.environ)
    ordinals = range(workloads.load(step.workload).count)
    matched = [each.gpu.index for each in found.match(ordinals) if each.gpu]
    return Watch(matched or found.visible)


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
