"""One GPU under a sampler: every tick a row, asked for in as few and as cheap calls as go."""

from __future__ import annotations

import ctypes
import time
from functools import partial
from typing import Any

from jaxpad.nvml import _fields as fields
from jaxpad.nvml._bulk import Bulk
from jaxpad.nvml._clocks import MEMORY, SM
from jaxpad.nvml._power import GPU_SENSOR
from jaxpad.nvml._reading import attempt, explain
from jaxpad.nvml._steps import FOR_GOOD, GONE, Column, member, number
from jaxpad.nvml._trace import Lost

BULK = (fields.POWER_INSTANT, fields.ENERGY, *fields.SLOWED.values())
# Columns that the bulk call gives, by their place in BULK.
IN_BULK = {"power_watts": 0, "energy_joules": 1}

Number = int | float
Row = list[Number | None]
_COUNT = ctypes.c_ulonglong


class Probe:
    """Asks one GPU, and keeps what it says as NVML says it; judging waits until the run is over.

    `rows` has an entry for each of `columns`, `bulk` the bytes of BULK's fields, or None,
    and `times` says when.
    """

    def __init__(self, nvml: Any, gpu: Any) -> None:
        self.times: list[float] = []
        self.rows: list[Row] = []
        self.bulk: list[bytes | None] = []
        self._no_bulk = ""
        self.lost: Lost | None = None
        self._nvml, self._gpu = nvml, gpu
        self._bulk = attempt(Bulk, nvml, gpu, BULK)
        self.columns = self._columns()
        self._steps = [column.next() for column in self.columns.values()]

    def _columns(self) -> dict[str, Column]:
        nvml, gpu = self._nvml, self._gpu
        one, of = partial(partial, number, nvml, gpu), partial(member, nvml, gpu)
        return {
            "sm_mhz": Column(one("ClockInfo", SM)),
            "memory_mhz": Column(one("ClockInfo", MEMORY)),
            "temperature_celsius": Column(
                lambda: of("TemperatureV", self._temperature(), 2),
                one("Temperature", GPU_SENSOR, kind=ctypes.c_int),
            ),
            "throttle_bits": Column(
                one("CurrentClocksEventReasons", kind=_COUNT),
                one("CurrentClocksThrottleReasons", kind=_COUNT),
            ),
            "used_bytes": Column(
                lambda: of("MemoryInfo_v2", self._memory(), 4),
                lambda: of("MemoryInfo", (_COUNT * 3)(), 2),
            ),
            "utilisation_percent": Column(lambda: of("UtilizationRates", (ctypes.c_uint * 2)(), 0)),
        }

    def _temperature(self) -> Any:
        """nvmlTemperature_t: version, sensor, degrees."""
        return (ctypes.c_int * 3)(self._nvml.nvmlTemperature_v1, GPU_SENSOR, 0)

    def _memory(self) -> Any:
        """nvmlMemory_v2_t: version, total, reserved, free, used."""
        return (_COUNT * 5)(self._nvml.nvmlMemory_v2)

    def tick(self) -> None:
        """One row. A GPU that is gone gets its time of loss, and no more rows."""
        if self.lost is not None:
            return
        now = time.monotonic()
        try:
            raw = self._ask_bulk()
            if not self.times:
                self._settle(raw)
            row = [
                self._mind(at, code) if (code := call(*given)) else out.value
                for at, (call, given, out) in enumerate(self._steps)
            ]
        except Exception as error:
            self.lost = Lost(now, explain(error))
            return
        self.bulk.append(raw)
        self.rows.append(row)
        self.times.append(now)

    def _ask_bulk(self) -> bytes | None:
        if self._bulk.value is None:
            self._no_bulk = self._bulk.reason or ""
            return None
        code, raw = self._bulk.value.ask()
        if code:
            self._no_bulk = explain(self._error(code))
        return None if code else raw

    def bulk_reason(self, at: int) -> str:
        """The last error of one field, by its place in BULK, or of the bulk call as a whole."""
        codes = (Bulk.decode(raw)[at][0] for raw in reversed(self.bulk) if raw is not None)
        code = next(filter(None, codes), 0)
        return explain(self._nvml.NVMLError(code)) if code else self._no_bulk

    def _settle(self, raw: bytes | None) -> None:
        """At first: find the way to each number on this GPU, and what the bulk call lacks."""
        found = Bulk.decode(raw) if raw is not None else None
        older = {"power_watts": "PowerUsage", "energy_joules": "TotalEnergyConsumption"}
        for name, at in IN_BULK.items():
            if found is not None and not found[at][0]:
                continue
            kind = _COUNT if name == "energy_joules" else ctypes.c_uint
            self.columns[name] = Column(
                partial(number, self._nvml, self._gpu, older[name], kind=kind)
            )
            self._steps.append(self.columns[name].next())

        for at in range(len(self._steps)):
            self._go_on(at)

    def _go_on(self, at: int) -> None:
        code, step = 1, None
        while code and step is not self._steps[at]:
            step = self._steps[at]
            code = step.call(*step.given)
            if code:
                self._mind(at, code)

    def _mind(self, at: int, code: int) -> Number | None:
        """No number: go on to the next way from the next tick, where the failure is for good."""
        column = list(self.columns.values())[at]
        if self._steps[at].out is None:
            return None
        error = self._error(code)
        column.reason = explain(error)
        if type(error).__name__ in FOR_GOOD:
            self._steps[at] = column.next()
        return None

    def _error(self, code: int) -> Exception:
        """The error of a code; raised where the GPU is gone."""
        error: Exception = self._nvml.NVMLError(code)
        if type(error).__name__ in GONE:
            raise error
        return error
