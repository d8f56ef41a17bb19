"""One GPU under a sampler: who it is, its probe, its performance monitor, and their trace."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._bulk import Bulk
from jaxpad.nvml._clocks import FASTEST, violation
from jaxpad.nvml._counter import Counter, counted
from jaxpad.nvml._device import Device
from jaxpad.nvml._gpm import Gpm
from jaxpad.nvml._identity import bus_id
from jaxpad.nvml._power import COLDEST, HOTTEST, MOST_MILLIWATTS
from jaxpad.nvml._probe import BULK, IN_BULK, Number, Probe
from jaxpad.nvml._reading import GARBAGE, Reading, absent, attempt, first
from jaxpad.nvml._trace import Column, GpmTrace, GpuTrace, Lost

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


def _judged(name: str, values: Sequence[Number | None]) -> tuple[Column, str]:
    """A column in its unit, and the reason where it has numbers that cannot be."""
    low, high, scale = COLUMNS[name]
    odd = [value for value in values if value is not None and not low <= value <= high]
    wrong = f"{GARBAGE}: {odd[0]} is outside {low:g} to {high:g}" if odd else ""
    return tuple(_scaled(value, low, high, scale) for value in values), wrong


def _scaled(value: Number | None, low: float, high: float, scale: int) -> Number | None:
    if value is None or not low <= value <= high:
        return None
    return value / scale if scale != 1 else value
