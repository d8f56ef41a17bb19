"""Samples every GPU in a thread beside the measured work, and never disturbs it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any

from jaxpad.core.reading import GARBAGE, Reading, absent, attempt, explain, first
from jaxpad.nvml import device as fields
from jaxpad.nvml.device import FASTEST, Bulk, Device, bus_id, started, violation
from jaxpad.nvml.fast_calls import BULK, IN_BULK, Counter, Gpm, Number, Probe, counted
from jaxpad.nvml.state import COLDEST, HOTTEST, MOST_MILLIWATTS
from jaxpad.nvml.traces import Gap, GpmTrace, GpuTrace, Lost, Trace, TraceColumn

# One GPU under a sampler: who it is, its probe, its performance monitor, and their trace.

MOST = 2.0**63
NANOSECONDS = 1e9

Fields = dict[int, Number | None]

# What a column's numbers can be as NVML gives them, and what they are divided by.
COLUMNS = {
    "power_watts": (0, MOST_MILLIWATTS, 1000),
    "energy_joules": (0, MOST, 1000),
    "sm_mhz": (0, FASTEST, 1),
    "memory_mhz": (0, FASTEST, 1),
    "temperature_celsius": (COLDEST, HOTTEST, 1),
    "throttle_bits": (0, MOST, 1),
    "used_bytes": (0, MOST, 1),
    "utilisation_percent": (0, 100, 1),
}


class Watched:
    """GPU `index` of NVML's order; GPM every `gpm_period_s` seconds, or never for None."""

    def __init__(self, nvml: Any, index: int, gpm_period_s: float | None) -> None:
        handle = attempt(nvml.nvmlDeviceGetHandleByIndex, index)
        device = Device(nvml, handle)
        self.index = index
        self.uuid = device.ask("nvmlDeviceGetUUID")
        self.pci_bus_id = device.ask("nvmlDeviceGetPciInfo").map(lambda info: bus_id(info.busId))
        self.probe = Probe(nvml, handle.value)
        if handle.reason is not None:
            self.probe.lost = Lost(time.monotonic(), handle.reason)
        self._gpm_period_s = gpm_period_s
        self._gpm = Gpm(nvml, handle.value) if handle.known and gpm_period_s else None
        self._device = device
        self._older = {name: Counter(NANOSECONDS) for name in fields.SLOWED}

    def tick(self) -> float:
        """One sample; the time after it."""
        self.probe.tick()
        if self._gpm is not None and self._gpm_period_s and self.probe.lost is None:
            self._gpm.tick(self._gpm_period_s)
        return time.monotonic()

    def count_slowly(self) -> None:
        """At start and stop only: the throttle counters that are in no bulk call."""
        if self.probe.lost is not None or not self.probe.bulk:
            return
        latest = decoded(self.probe.bulk[-1])
        for name, counter in self._older.items():
            if latest[fields.SLOWED[name]] is None:
                found = violation(self._device, name)
                if found.value is not None:
                    counter.add(found.value, time.monotonic())

    def close(self) -> None:
        """The last counts; GPM's samples go back to the driver."""
        self.count_slowly()
        if self._gpm is not None:
            self._gpm.close()

    def trace(self) -> GpuTrace:
        """Everything so far, as plain data."""
        times = tuple(self.probe.times)  # a copy: the thread may be adding, and times comes last
        bulk = [decoded(raw) for raw in self.probe.bulk[: len(times)]]
        told = self._told(len(times), bulk)
        lost = self.probe.lost
        why = lost.reason if lost else None
        energy = counted(MOST_MILLIWATTS, times, told["energy_joules"])
        columns = {name: _judged(name, values) for name, values in told.items()}
        return GpuTrace(
            uuid=self.uuid,
            pci_bus_id=self.pci_bus_id,
            time_s=times,
            columns={name: column for name, (column, _) in columns.items()},
            absent={
                name: wrong or self._reason(name)
                for name, (column, wrong) in columns.items()
                if None in column
            },
            lost=lost,
            energy_joules=energy.reading(why or self._reason("energy_joules")).map(
                lambda millijoules: millijoules / 1000
            ),
            energy_s=energy.seconds,
            slowed_ns={name: self._slowed(name, times, bulk, why) for name in fields.SLOWED},
            gpm=self._gpm_trace(),
        )

    def _told(self, count: int, bulk: Sequence[Fields]) -> dict[str, list[Number | None]]:
        """What NVML said by column, in NVML's units."""
        rows, names = self.probe.rows[:count], list(self.probe.columns)
        found = {name: [row[at] for row in rows] for at, name in enumerate(names)}
        for name, at in IN_BULK.items():
            if name not in found:
                found[name] = [each[BULK[at]] for each in bulk]
        return {name: found[name] for name in COLUMNS}

    def _reason(self, name: str) -> str:
        column = self.probe.columns.get(name)
        return column.reason if column else self.probe.bulk_reason(IN_BULK[name])

    def _slowed(
        self, name: str, times: Sequence[float], bulk: Sequence[Fields], why: str | None
    ) -> Reading[int]:
        in_bulk = counted(NANOSECONDS, times, [each[fields.SLOWED[name]] for each in bulk])
        return first(partial(in_bulk.reading, why), partial(self._older[name].reading, why))

    def _gpm_trace(self) -> Reading[GpmTrace]:
        if self._gpm is None:
            return absent("not asked: the sampler was told not to, or the GPU gave no handle")
        return self._gpm.trace()


def decoded(raw: bytes | None) -> Fields:
    """The bulk call's fields by number; None for one that it did not give."""
    if raw is None:
        return dict.fromkeys(BULK)
    return {
        field: None if code else value
        for field, (code, value) in zip(BULK, Bulk.decode(raw), strict=True)
    }


def _judged(name: str, values: Sequence[Number | None]) -> tuple[TraceColumn, str]:
    """A column in its unit, and the reason where it has numbers that cannot be."""
    low, high, scale = COLUMNS[name]
    odd = [value for value in values if value is not None and not low <= value <= high]
    wrong = f"{GARBAGE}: {odd[0]} is outside {low:g} to {high:g}" if odd else ""
    return tuple(_scaled(value, low, high, scale) for value in values), wrong


def _scaled(value: Number | None, low: float, high: float, scale: int) -> Number | None:
    if value is None or not low <= value <= high:
        return None
    return value / scale if scale != 1 else value


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
