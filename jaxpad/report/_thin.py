"""A trace with fewer rows, which still shows what matters.

Ten minutes of eight GPUs at 50 Hz are 240,000 rows. Kept of each stretch of time are real
samples, no averages: the highest power, the lowest SM clock, the highest temperature and the
highest utilisation in it. Of each throttle reason its first and last sample are kept, and of
the whole trace, so that counters such as the energy still span it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from jaxpad.nvml import GpmTrace, GpuTrace, Trace
from jaxpad.nvml._trace import Column
from jaxpad.report._figures import mean
from jaxpad.shares import ratio

MOST = 600  # rows of one GPU
_EXTREMES: dict[str, Callable[..., int]] = {
    "power_watts": max,
    "sm_mhz": min,
    "temperature_celsius": max,
    "utilisation_percent": max,
}
_REASONS = 12  # throttle reasons that NVML has, and one more
_STRETCHES = (MOST - 2 - 2 * _REASONS) // len(_EXTREMES)


def thin(trace: Trace) -> Trace:
    """At most MOST rows a GPU, numbers to the thousandth. Twice is once."""
    return replace(
        trace,
        start_s=_short(trace.start_s),
        stop_s=_short(trace.stop_s),
        gpus=tuple(map(_gpu, trace.gpus)),
        gaps=tuple(
            replace(gap, start_s=_short(gap.start_s), stop_s=_short(gap.stop_s))
            for gap in trace.gaps
        ),
    )


def _short(number: float) -> float:
    return round(number, 3)


def _gpu(gpu: GpuTrace) -> GpuTrace:
    rows = _kept(gpu) if len(gpu.time_s) > MOST else range(len(gpu.time_s))
    return replace(
        gpu,
        time_s=tuple(_short(gpu.time_s[row]) for row in rows),
        columns={name: _at(column, rows) for name, column in gpu.columns.items()},
        lost=gpu.lost and replace(gpu.lost, at_s=_short(gpu.lost.at_s)),
        gpm=gpu.gpm.map(_gpm),
    )


def _at(column: Column, rows: Sequence[int]) -> Column:
    numbers = (column[row] for row in rows)
    return tuple(None if number is None else _short(number) for number in numbers)


def _kept(gpu: GpuTrace) -> list[int]:
    """The numbers of the rows to keep, in order."""
    last = len(gpu.time_s) - 1
    rows = {0, last, *_reasons(gpu.columns.get("throttle_bits", ()))}
    for stretch in _stretches(gpu.time_s):
        for name, extreme in _EXTREMES.items():
            column = gpu.columns.get(name, ())
            known = [row for row in stretch if column and column[row] is not None]
            rows.add(extreme(known, key=column.__getitem__) if known else stretch[0])
    return sorted(rows)


def _stretches(times: Sequence[float]) -> Iterator[Sequence[int]]:
    """Rows by stretches of equal time, those that have any."""
    # Halves: the difference of two times may be more than a float holds.
    start, whole = times[0], times[-1] / 2 - times[0] / 2
    rows: list[int] = []
    place = 0
    for row, time in enumerate(times):
        share = ratio(time / 2 - start / 2, whole) or 0.0
        now = min(_STRETCHES - 1, int(_STRETCHES * share))
        if now != place and rows:
            yield rows
            rows = []
        place = now
        rows.append(row)
    yield rows


def _reasons(column: Column) -> Iterator[int]:
    """The first and the last row of each throttle reason."""
    seen: dict[int, int] = {}
    for row, bits in enumerate(column):
        for place in _bits(int(bits or 0)):
            if place not in seen and len(seen) < _REASONS:
                yield row
            if place in seen or len(seen) < _REASONS:
                seen[place] = row
    yield from seen.values()


def _bits(bits: int) -> Iterator[int]:
    return (place for place in range(bits.bit_length()) if bits >> place & 1)


def _gpm(found: GpmTrace) -> GpmTrace:
    """Each metric is a mean over its time already, so neighbours are averaged."""
    width = -(-len(found.time_s) // MOST)
    ends = range(width, len(found.time_s) + width, width) if width else ()
    return GpmTrace(
        tuple(_short(found.time_s[min(end, len(found.time_s)) - 1]) for end in ends),
        {name: _means(column, width) for name, column in found.metrics.items()},
        found.absent,
    )


def _means(column: Column, width: int) -> Column:
    parts = (column[at : at + width] for at in range(0, len(column), width or 1))
    known = ([value for value in part if value is not None] for part in parts)
    return tuple(_short(mean(part)) if part else None for part in known)
