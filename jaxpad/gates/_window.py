"""What the sampler saw of one GPU while a program ran."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from jaxpad.nvml import GpuState, GpuTrace, Trace
from jaxpad.nvml._clocks import REASONS


@dataclass(frozen=True)
class Window:
    """Medians of the samples in a time; None where NVML gave none.

    `held` is the share of the samples in which each clocks event reason was in force.
    """

    samples: int
    sm_mhz: float | None
    memory_mhz: float | None
    watts: float | None
    celsius: float | None
    held: dict[str, float]

    def share(self, reason: str) -> float:
        """Of the samples, how many had `reason` in force; 0 where NVML told none."""
        return self.held.get(reason, 0.0)


def of_gpu(trace: Trace | None, gpu: GpuState) -> GpuTrace | None:
    """The trace of a GPU, by UUID or PCI bus id; None where there is none."""
    names = {gpu.identity.uuid.value, gpu.identity.pci_bus_id.value} - {None}
    traces = trace.gpus if trace else ()
    return next((t for t in traces if names & {t.uuid.value, t.pci_bus_id.value}), None)


def window(trace: GpuTrace | None, start_s: float, stop_s: float) -> Window | None:
    """The samples from `start_s` to `stop_s`; None where there is not one."""
    if trace is None:
        return None
    first, last = bisect_left(trace.time_s, start_s), bisect_right(trace.time_s, stop_s)
    if first == last:
        return None

    def middle(column: str) -> float | None:
        known = _known(trace.columns[column][first:last])
        return statistics.median(known) if known else None

    return Window(
        samples=last - first,
        sm_mhz=middle("sm_mhz"),
        memory_mhz=middle("memory_mhz"),
        watts=middle("power_watts"),
        celsius=middle("temperature_celsius"),
        held=_held(_known(trace.columns["throttle_bits"][first:last])),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _held(bits: list[float]) -> dict[str, float]:
    counts = {name: sum(bool(int(each) & bit) for each in bits) for bit, name in REASONS.items()}
    return {name: count / len(bits) for name, count in counts.items() if count}
