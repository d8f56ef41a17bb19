"""Samples every GPU in a thread beside the measured work, and never disturbs it."""

from __future__ import annotations

import math
import threading
import time
from types import TracebackType
from typing import Any

from jaxpad.nvml._device import started
from jaxpad.nvml._reading import attempt, explain
from jaxpad.nvml._trace import Gap, Trace
from jaxpad.nvml._watched import Watched

GAP_PERIODS = 3  # fewer is what a busy machine does to any thread


class Sampler:
    """Reads every GPU each `period_s` seconds from start to stop.

        with nvml.Sampler(period_s=0.02) as sampler:
            work()
        trace = sampler.trace()

    NVML is initialised in this process by `start` and shut down by `stop`. No method
    raises: what goes wrong is in the trace. GPM is read every `gpm_period_s` seconds, or
    not at all where that is None. A driver that hangs holds `start` up for
    `patience_s` seconds at most and `stop` likewise, and its thread is left behind.
    """

    def __init__(
        self, period_s: float = 0.1, gpm_period_s: float | None = 0.25, patience_s: float = 10.0
    ) -> None:
        self.period_s, self.gpm_period_s, self.patience_s = period_s, gpm_period_s, patience_s
        self._gpus: list[Watched] = []
        self._last, self._slowest = 0.0, (0.0, 0)  # tick: its start; seconds and index of a GPU
        self._gaps: list[Gap] = []
        self._asking: tuple[float, int] | None = None  # since when, and which GPU
        self._error: str | None = None
        self._start_s = self._stop_s = 0.0
        self._ready, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="nvml-sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin; back when every GPU was read once, or after `patience_s`."""
        self._start_s = time.monotonic()
        refused = attempt(self._thread.start).reason  # a process may have no thread left
        if refused is not None:
            self._error = refused
        elif not self._ready.wait(self.patience_s):
            self._error = f"late: NVML did not start within {self.patience_s:g} s"

    def stop(self) -> None:
        """Read every GPU once more and end."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(self.patience_s)
        self._stop_s = time.monotonic()
        if self._thread.is_alive():
            self._error = f"stuck: an NVML call has not come back within {self.patience_s:g} s"

    def trace(self) -> Trace:
        """What was seen so far, a call that has not come back yet among the gaps."""
        return Trace(
            period_s=self.period_s,
            start_s=self._start_s,
            stop_s=self._stop_s or time.monotonic(),
            error=self._error,
            gpus=tuple(gpu.trace() for gpu in self._gpus),
            gaps=(*self._gaps, *self._open_gap(time.monotonic())),
        )

    def _open_gap(self, now: float) -> tuple[Gap, ...]:
        asking = self._asking
        if asking is None or now - asking[0] <= GAP_PERIODS * self.period_s:
            return ()
        since, index = asking
        return (Gap(since, now, f"GPU {index} has not answered for {now - since:.2f} s"),)

    def _run(self) -> None:
        try:
            with started() as nvml:
                if nvml.value is not None:
                    self._sample(nvml.value)
                else:
                    self._error = nvml.reason
        except Exception as error:
            self._error = explain(error)
        finally:
            self._ready.set()

    def _sample(self, nvml: Any) -> None:
        self._gpus = [
            Watched(nvml, index, self.gpm_period_s) for index in range(nvml.nvmlDeviceGetCount())
        ]
        self._tick()
        for gpu in self._gpus:
            gpu.count_slowly()
        self._ready.set()
        self._loop()
        self._tick()
        for gpu in self._gpus:
            gpu.close()

    def _loop(self) -> None:
        """Keep to the period; ticks that were missed are not made up for."""
        begun, tick = time.monotonic(), 0
        while True:
            tick = max(tick + 1, math.ceil((time.monotonic() - begun) / self.period_s))
            rest = begun + tick * self.period_s - time.monotonic()
            if self._stopping.wait(max(rest, 0)):
                return
            self._tick()

    def _tick(self) -> None:
        begun = time.monotonic()
        self._mind_gap(begun)
        answered, slowest = begun, (0.0, 0)
        for gpu in self._gpus:
            self._asking = answered, gpu.index
            before, answered = answered, gpu.tick()
            slowest = max(slowest, (answered - before, gpu.index))
        self._asking = None
        self._last, self._slowest = begun, slowest

    def _mind_gap(self, now: float) -> None:
        length, (took_s, index) = now - self._last, self._slowest
        if self._last and length > GAP_PERIODS * self.period_s:
            slow = took_s > length / 2
            why = f"GPU {index} took {took_s:.2f} s to answer" if slow else "the thread had no turn"
            self._gaps.append(Gap(self._last, now, why))
