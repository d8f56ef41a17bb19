"""GPM, the GPU's performance monitor: how busy its parts were between two moments."""

from __future__ import annotations

import time
from typing import Any

from jaxpad.nvml._reading import Reading, absent, attempt, explain
from jaxpad.nvml._trace import Column, GpmTrace

APART_S = 0.12  # two samples must lie more than 100 ms apart (nvml.h)

# nvmlGpmMetricId_t. Per cent, but MiB/s for what moves bytes.
METRICS = {
    "sm_utilisation_percent": 2,
    "sm_occupancy_percent": 3,
    "tensor_percent": 5,
    "dram_bandwidth_percent": 10,
    "fp64_percent": 11,
    "fp32_percent": 12,
    "fp16_percent": 13,
    "pcie_sent_mib_per_s": 20,
    "pcie_received_mib_per_s": 21,
    "nvlink_received_mib_per_s": 60,
    "nvlink_sent_mib_per_s": 61,
}


class NoGpmError(Exception):
    """The driver has the performance monitor and this GPU has not."""


class Gpm:
    """The performance monitor of one GPU, read at intervals."""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self.nvml, self.handle = nvml, handle
        self.times: list[float] = []
        self.rows: list[tuple[float | None, ...]] = []
        self.absent: dict[str, str] = {}
        self._samples: list[Any] = []
        self._taken = 0.0
        self.reason = attempt(self._start).reason

    def _start(self) -> None:
        support = self.nvml.nvmlGpmQueryDeviceSupport(self.handle)
        if not support.isSupportedDevice:
            raise NoGpmError("this GPU has no GPM: Hopper and newer have")
        self._samples = [self.nvml.nvmlGpmSampleAlloc() for _ in range(2)]
        self._asked = self.nvml.c_nvmlGpmMetricsGet_t()  # 19 kB: made once
        self._asked.version = self.nvml.NVML_GPM_METRICS_GET_VERSION
        self._asked.numMetrics = len(METRICS)
        self._metrics = [self._asked.metrics[at] for at in range(len(METRICS))]
        for metric, number in zip(self._metrics, METRICS.values(), strict=True):
            metric.metricId = number
        self._take()

    def _take(self) -> None:
        self.nvml.nvmlGpmSampleGet(self.handle, self._samples[1])
        self._taken = time.monotonic()

    def tick(self, every_s: float) -> None:
        """One row if the last sample is old enough; an error ends the asking."""
        now = time.monotonic()
        if self.reason is not None or now - self._taken < max(every_s, APART_S):
            return
        try:
            self._samples.reverse()
            self._take()
            self.rows.append(self._values())
            self.times.append(self._taken)
        except Exception as error:
            self.reason = explain(error)

    def _values(self) -> tuple[float | None, ...]:
        self._asked.sample1, self._asked.sample2 = self._samples
        self.nvml.nvmlGpmMetricsGet(self._asked)
        return tuple(map(self._value, METRICS, self._metrics))

    def _value(self, name: str, metric: Any) -> float | None:
        """Each metric has a return code of its own."""
        if not metric.nvmlReturn:
            return float(metric.value)
        self.absent[name] = explain(self.nvml.NVMLError(metric.nvmlReturn))
        return None

    def trace(self) -> Reading[GpmTrace]:
        """What was read so far; absent where GPM never answered."""
        if not self.rows:
            return absent(self.reason or "not asked: the run was shorter than two samples take")
        columns: list[Column] = list(zip(*self.rows, strict=True))
        metrics = dict(zip(METRICS, columns, strict=True))
        ended = {"time_s": self.reason} if self.reason else {}
        return Reading(GpmTrace(tuple(self.times), metrics, self.absent | ended))

    def close(self) -> None:
        """Give the samples back to the driver."""
        for sample in self._samples:
            attempt(self.nvml.nvmlGpmSampleFree, sample)
        self._samples = []
