"""What held each GPU's clocks down, and when: a strip a GPU, a letter a reason."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxpad.core.markup import (
    COLOURS,
    SIGNS,
    WIDTH,
    Chart,
    Html,
    axes,
    label,
    style,
    table,
    text_width,
)
from jaxpad.core.results import Report, Verdict
from jaxpad.core.text import clock, duration, mean, number, plural
from jaxpad.nvml import GpuTrace, Trace, reasons
from jaxpad.report.rates import Program, programs
from jaxpad.report.series import (
    Band,
    bands,
    drawn_at,
    index,
    lane,
    lane_name,
    shade,
    span,
    time_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, TOP, BOTTOM = 46.0, 28.0, 16.0, 18.0  # CSS pixels
_LETTER = 7.0  # pixels a strip needs for its letter

# The worst first: where several hold at once, the first is drawn.
_LOOKS = {
    "hw_power_brake_slowdown": ("B", "fail", "power brake"),
    "hw_thermal_slowdown": ("H", "fail", "heat, by hardware"),
    "hw_slowdown": ("S", "fail", "hardware slowdown"),
    "sw_thermal_slowdown": ("T", "inconclusive", "heat"),
    "reliability": ("R", "inconclusive", "voltage reliability"),
    "board_limit": ("L", "inconclusive", "board limit"),
    "sw_power_cap": ("P", "series", "power cap"),
    "sync_boost": ("Y", "quiet", "sync boost"),
    "display_clock_setting": ("D", "quiet", "display clock"),
}
# Not slowing: an idle GPU, and clocks that somebody has set.
_HARMLESS = frozenset({"gpu_idle", "applications_clocks_setting"})
_OTHER = ("O", "quiet", "another reason")


@dataclass(frozen=True)
class Strip:
    """A stretch of time in which one reason was the worst."""

    start_s: float
    stop_s: float
    reason: str


def letter(reason: str) -> str:
    return _LOOKS.get(reason, _OTHER)[0]


def words(reason: str) -> str:
    return _LOOKS.get(reason, (*_OTHER[:2], f"reason {reason}"))[2]


def strips(gpu: GpuTrace) -> tuple[Strip, ...]:
    """The stretches of one GPU; each ends with the next sample."""
    column = gpu.columns.get("throttle_bits", ())
    times = tuple(map(drawn_at, gpu.time_s))
    ends = (*times[1:], *times[-1:])
    found: list[Strip] = []
    for start, stop, bits in zip(times, ends, column, strict=False):
        reason = _worst(bits)
        if reason and found and found[-1].reason == reason and found[-1].stop_s == start:
            found[-1] = Strip(found[-1].start_s, stop, reason)
        elif reason:
            found.append(Strip(start, stop, reason))
    return tuple(found)


def _worst(bits: float | None) -> str | None:
    held = [name for name in reasons(int(bits or 0)) if name not in _HARMLESS]
    order = [*_LOOKS, *held]
    return min(held, key=order.index) if held else None


def throttle(report: Report, trace: Trace, worst: dict[int, Verdict]) -> Chart:
    """The chart; `worst` is each GPU's verdict, by NVML's index."""
    found = {index(report, at, gpu): strips(gpu) for at, gpu in enumerate(trace.gpus)}
    return Chart(
        key="throttle",
        title="What held the clocks down",
        finding=_share_finding(found),
        numbers=_share_numbers(report, trace),
        height=TOP + BOTTOM + lane(len(found)) * max(1, len(found)),
        paint=lambda drawn: _share_paint(drawn, report, trace, found, worst),
    )


def _share_finding(found: dict[int, tuple[Strip, ...]]) -> str:
    by_reason: dict[str, list[int]] = {}
    for gpu, those in found.items():
        for reason in dict.fromkeys(strip.reason for strip in those):
            by_reason.setdefault(reason, []).append(gpu)
    if not by_reason:
        return "Nothing did."
    order = [*_LOOKS, *by_reason]
    told = (
        f"{letter(reason)} {words(reason)}: {_gpus(by_reason[reason], len(found))}"
        for reason in sorted(by_reason, key=order.index)
    )
    return f"{'; '.join(told)}."


def _gpus(those: list[int], count: int) -> str:
    if len(those) == count > 1:
        return "all GPUs"
    return f"GPU {', '.join(map(str, those))}"


def _share_numbers(report: Report, trace: Trace) -> Html:
    rows = [row for at, gpu in enumerate(trace.gpus) for row in _rows(index(report, at, gpu), gpu)]
    heads = ("GPU", "Reason", "Held by NVML's count", "First seen", "Last seen")
    return table("Throttle reasons by GPU", heads, rows or [("none", "", "", "", "")])


def _rows(gpu: int, told: GpuTrace) -> Iterator[tuple[str, ...]]:
    seen = _seen(told)
    counted = {name for name, found in told.slowed_ns.items() if found.value}
    for name in sorted(seen.keys() | counted):
        slowed = told.slowed_ns.get(name)
        known = slowed is not None and slowed.value is not None
        held = duration(slowed.value / 1e9) if known and slowed and slowed.value else "not counted"
        first, last = (clock(time) for time in seen[name]) if name in seen else ("", "")
        yield f"GPU {gpu}", f"{words(name)} ({name})", held, first, last


def _seen(told: GpuTrace) -> dict[str, tuple[float, float]]:
    """First and last time of each reason."""
    found: dict[str, tuple[float, float]] = {}
    for time, bits in zip(told.time_s, told.columns.get("throttle_bits", ()), strict=False):
        for name in reasons(int(bits or 0)):
            if name not in _HARMLESS:
                found[name] = (found.get(name, (time, time))[0], time)
    return found


def _share_paint(
    drawn: Figure,
    report: Report,
    trace: Trace,
    found: dict[int, tuple[Strip, ...]],
    worst: dict[int, Verdict],
) -> None:
    panel = axes(drawn, LEFT, RIGHT, TOP, BOTTOM)
    start, stop = span(report, trace)
    width = WIDTH - LEFT - RIGHT
    time_axis(panel, start, stop, width)
    shade(panel, bands(report), width / (stop - start))
    for row, those in enumerate(found.values()):
        panel.axhline(row, color=COLOURS["line"], linewidth=0.6, zorder=1)
        _share_row(panel, row, those, width / (stop - start))
    panel.set_ylim(max(1, len(found)) - 0.5, -0.5)
    panel.set_yticks(range(len(found)), [lane_name(gpu, worst) for gpu in found])


def _share_row(panel: Axes, row: int, those: tuple[Strip, ...], per_second: float) -> None:
    for reason in dict.fromkeys(strip.reason for strip in those):
        mine = [(s.start_s, s.stop_s - s.start_s) for s in those if s.reason == reason]
        tone = COLOURS[_LOOKS.get(reason, _OTHER)[1]]
        panel.broken_barh(mine, (row - 0.3, 0.6), facecolor=tone, linewidth=0, zorder=2)
    for strip in those:
        if (strip.stop_s - strip.start_s) * per_second > _LETTER:
            panel.text(
                (strip.start_s + strip.stop_s) / 2,
                row,
                letter(strip.reason),
                ha="center",
                va="center",
                fontsize=8,
                weight="bold",
                color=COLOURS["page"],
                zorder=3,
            )
    # At the right once more, as a short strip has no room for its letter.
    seen = sorted({letter(strip.reason) for strip in those})
    panel.annotate(
        "".join(seen),
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        weight="bold",
    )


# When each check file ran, and each timed program: a row each.

BAND_RIGHT, BAND_TOP, BAND_BOTTOM, ROW = 20.0, 4.0, 18.0, 12.5  # CSS pixels
MOST = 125.0  # pixels that a name may take


@dataclass(frozen=True)
class Row:
    """One row: a check file, or a program timed within it, whose bars are GPU by GPU."""

    name: str
    bars: tuple[tuple[float, float, str], ...]  # start, seconds, tone
    sign: Verdict | None = None  # of a file


def when(report: Report, trace: Trace) -> Chart:
    """The chart, with what the GPUs did in each row's time as its numbers."""
    found = rows(report)
    return Chart(
        key="when",
        title="What ran when",
        finding=_band_finding(bands(report)),
        numbers=_band_numbers(found, trace),
        height=BAND_TOP + BAND_BOTTOM + ROW * max(1, len(found)),
        paint=lambda drawn: _band_paint(drawn, report, trace, found),
    )


def rows(report: Report) -> tuple[Row, ...]:
    """Files and timed programs, in order of time."""
    files = [_file(band) for band in bands(report)]
    timed = [_program(program) for program in programs(report)]
    return tuple(sorted([*files, *timed], key=lambda row: row.bars[0][0]))


def _file(band: Band) -> Row:
    bars = sorted(
        (check.began, check.seconds, style(check.verdict))
        for check in band.topic.checks
        if check.began is not None
    )
    return Row(band.topic.name, tuple(bars), band.topic.verdict)


def _program(program: Program) -> Row:
    """The GPUs' turns one after the other, then all at once, as bars without holes between."""
    times = sorted((entry.rate.start_s, entry.rate.stop_s) for entry in program.entries)
    merged = [times[0]]
    for start, stop in times[1:]:
        if start <= merged[-1][1] + 0.5:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    bars = tuple((start, stop - start, "series") for start, stop in merged)
    return Row(f"· {program.title}", bars)


def _band_finding(found: tuple[Band, ...]) -> str:
    if not found:
        return "No check began."
    longest = max(found, key=lambda band: band.stop_s - band.start_s)
    took = duration(longest.stop_s - longest.start_s)
    return f"{plural(len(found), 'check file')}; the longest, {longest.topic.name}, took {took}."


def _band_numbers(found: tuple[Row, ...], trace: Trace) -> Html:
    heads = ("What", "From", "To", "Power, mean", "SM clock, lowest", "Temperature, highest")
    return table("What the GPUs did meanwhile", heads, (_band_row(row, trace) for row in found))


def _band_row(row: Row, trace: Trace) -> tuple[str, ...]:
    start, stop = row.bars[0][0], max(start + seconds for start, seconds, _ in row.bars)
    watts, clocks, heat = (
        _within(start, stop, trace, column)
        for column in ("power_watts", "sm_mhz", "temperature_celsius")
    )
    return (
        row.name,
        clock(start),
        clock(stop),
        f"{number(mean(watts))} W" if watts else "no sample",
        f"{number(min(clocks))} MHz" if clocks else "no sample",
        f"{number(max(heat))} °C" if heat else "no sample",
    )


def _within(start: float, stop: float, trace: Trace, column: str) -> list[float]:
    """The samples of all GPUs in that time."""
    found: list[float] = []
    for gpu in trace.gpus:
        part = slice(bisect_left(gpu.time_s, start), bisect_right(gpu.time_s, stop))
        found += [value for value in gpu.columns.get(column, ())[part] if value is not None]
    return found


def _band_paint(drawn: Figure, report: Report, trace: Trace, found: tuple[Row, ...]) -> None:
    names = [label(row.name, MOST) for row in found]
    left = 8 + max(map(text_width, names), default=0.0)
    panel = axes(drawn, left, BAND_RIGHT, BAND_TOP, BAND_BOTTOM)
    start, stop = span(report, trace)
    time_axis(panel, start, stop, WIDTH - left - BAND_RIGHT)
    panel.grid(axis="x")
    panel.set_axisbelow(True)
    least = (stop - start) / (WIDTH - left - BAND_RIGHT) * 1.5  # nothing is too short to be seen
    for at, row in enumerate(found):
        _bars(panel, at, row, least)
        if row.sign:
            _sign(panel, at, row.sign)
    panel.set_ylim(max(1, len(found)) - 0.5, -0.5)
    panel.set_yticks(range(len(found)), names)


def _bars(panel: Axes, at: int, row: Row, least: float) -> None:
    for tone in dict.fromkeys(tone for _, _, tone in row.bars):
        mine = [
            (drawn_at(start), max(least, drawn_at(seconds)))
            for start, seconds, each in row.bars
            if each == tone
        ]
        panel.broken_barh(mine, (at - 0.33, 0.66), facecolor=COLOURS[tone], linewidth=0, zorder=2)


def _sign(panel: Axes, at: int, verdict: Verdict) -> None:
    panel.annotate(
        SIGNS[verdict],
        (1, at),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        weight="bold",
        color=COLOURS[style(verdict)],
    )
