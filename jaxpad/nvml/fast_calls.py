"""The cheapest way to ask NVML one thing again and again.

nvidia-ml-py's wrappers look their function up, make their structures and convert strings
at every call. A step does that once and keeps its buffer, and a loop over steps runs no
other Python: a third of the time, which is what lets the sampler hold 50 Hz on eight GPUs.
A step belongs to one thread.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from jaxpad.core.reading import ALL_ONES, Reading, absent, attempt, explain
from jaxpad.nvml import device as fields
from jaxpad.nvml.device import MEMORY, SM, Bulk
from jaxpad.nvml.state import GPU_SENSOR
from jaxpad.nvml.traces import GpmTrace, Lost, TraceColumn

# Errors that the next call would meet again, and those after which no call will succeed.
FOR_GOOD = frozenset(
    f"NVMLError_{name}"
    for name in (
        "ArgumentVersionMismatch",
        "Deprecated",
        "FunctionNotFound",
        "InvalidArgument",
        "NoPermission",
        "NotSupported",
        "VgpuEccNotSupported",
    )
)
GONE = frozenset({"NVMLError_GpuIsLost", "NVMLError_GpuNotFound", "NVMLError_ResetRequired"})


class Step(NamedTuple):
    """`call(*given)` returns an nvmlReturn_t, and where that is 0, `out.value` is the number."""

    call: Callable[..., int]
    given: tuple[Any, ...]
    out: Any


Maker = Callable[[], Step]


def silent() -> Step:
    """A step that has nothing left to ask."""
    return Step(lambda: 1, (), None)


def number(nvml: Any, gpu: Any, call: str, *given: int, kind: Any = ctypes.c_uint) -> Step:
    """A call that ends in a pointer to one number.

    Raises NVMLError_FunctionNotFound for one that the driver does not have.
    """
    out = kind()
    function = nvml._nvmlGetFunctionPointer(f"nvmlDeviceGet{call}")
    return Step(function, (gpu, *given, ctypes.byref(out)), out)


def member(nvml: Any, gpu: Any, call: str, words: Any, at: int) -> Step:
    """A call that fills a structure: `words` is that as an array, `at` the wanted word.

    Raises as `number` does.
    """
    kind = words._type_
    out = kind.from_buffer(words, at * ctypes.sizeof(kind))
    return Step(nvml._nvmlGetFunctionPointer(f"nvmlDeviceGet{call}"), (gpu, words), out)


class Column:
    """The steps that lead to one number, best first; `reason` is the last error."""

    def __init__(self, *makers: Maker) -> None:
        self.reason = ""
        self._left = self._made(makers)

    def _made(self, makers: tuple[Maker, ...]) -> Iterator[Step]:
        for maker in makers:
            try:
                yield maker()
            except Exception as error:
                self.reason = explain(error)

    def next(self) -> Step:
        """The first step, and after each failure the next; at last one that says nothing."""
        return next(self._left, None) or silent()


# A counter that is read again and again: how far it went, over wraps and resets.

WIDTHS = (32, 64)  # bits


class Counter:
    """Adds up the steps of a counter that cannot go faster than `most_per_s`.

    A step back is a wrap where the step that wraps at 32 or 64 bits is not too fast, else
    a reset, as when the driver is loaded again: what came before the reset is kept and the
    step itself is lost.
    """

    def __init__(self, most_per_s: float) -> None:
        self.most_per_s = most_per_s
        self.total = 0
        self.resets = 0
        self._first_s: float | None = None
        self._last_s = 0.0
        self._last = 0

    def add(self, value: int, at_s: float) -> None:
        """The counter stood at `value` at `at_s`."""
        if self._first_s is None:
            self._first_s = at_s
        else:
            self._step(value, at_s - self._last_s)
        self._last, self._last_s = value, at_s

    def _step(self, value: int, seconds: float) -> None:
        step = value - self._last
        if step < 0:
            # One second of grace: a driver brings its counters up to date now and then.
            step = _wrapped(step, self._last, self.most_per_s * (seconds + 1))
        if step < 0:
            self.resets += 1
        self.total += max(step, 0)

    @property
    def seconds(self) -> float:
        """Between the first and the last value."""
        return 0.0 if self._first_s is None else self._last_s - self._first_s

    def reading(self, reason: str | None = None) -> Reading[int]:
        """How far the counter went; absent, with `reason`, before there are two values."""
        if self._first_s is None or self._last_s == self._first_s:
            return absent(reason or "not asked: the counter was not read twice")
        if self.resets and not self.total:
            return absent("reset: the counter began anew")
        return Reading(self.total)


def counted(most_per_s: float, times: Sequence[float], values: Sequence[float | None]) -> Counter:
    """A counter that was read at `times`; a value that is None or all ones was not read."""
    counter = Counter(most_per_s)
    for at_s, value in zip(times, values, strict=True):
        if value is not None and value not in ALL_ONES:
            counter.add(int(value), at_s)
    return counter


def _wrapped(step: int, last: int, most: float) -> int:
    """The step over a wrap, or the step back as it was where none is likely."""
    steps = (step + (1 << bits) for bits in WIDTHS if last < 1 << bits)
    return next((each for each in steps if 0 <= each <= most), step)


# GPM, the GPU's performance monitor: how busy its parts were between two moments.

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
        columns: list[TraceColumn] = list(zip(*self.rows, strict=True))
        metrics = dict(zip(METRICS, columns, strict=True))
        ended = {"time_s": self.reason} if self.reason else {}
        return Reading(GpmTrace(tuple(self.times), metrics, self.absent | ended))

    def close(self) -> None:
        """Give the samples back to the driver."""
        for sample in self._samples:
            attempt(self.nvml.nvmlGpmSampleFree, sample)
        self._samples = []


# One GPU under a sampler: every tick a row, asked for in as few and as cheap calls as go.

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
