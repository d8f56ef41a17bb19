"""When each check file ran, and each timed program: a row each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxpad.nvml import Trace
from jaxpad.report._canvas import WIDTH, Chart, axes, label, text_width
from jaxpad.report._figures import clock, duration, mean, number, plural
from jaxpad.report._rated import Program, programs
from jaxpad.report._signs import SIGNS, style
from jaxpad.report._svg import COLOURS
from jaxpad.report._tags import Html, table
from jaxpad.report._times import Band, bands, drawn_at, span, time_axis
from jaxpad.results import Report
from jaxpad.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, TOP, BOTTOM, ROW = 20.0, 4.0, 18.0, 12.5  # CSS pixels
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
        finding=_finding(bands(report)),
        numbers=_numbers(found, trace),
        height=TOP + BOTTOM + ROW * max(1, len(found)),
        paint=lambda drawn: _paint(drawn, report, trace, found),
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


def _finding(found: tuple[Band, ...]) -> str:
    if not found:
        return "No check began."
    longest = max(found, key=lambda band: band.stop_s - band.start_s)
    took = duration(longest.stop_s - longest.start_s)
    return f"{plural(len(found), 'check file')}; the longest, {longest.topic.name}, took {took}."


def _numbers(found: tuple[Row, ...], trace: Trace) -> Html:
    heads = ("What", "From", "To", "Power, mean", "SM clock, lowest", "Temperature, highest")
    return table("What the GPUs did meanwhile", heads, (_row(row, trace) for row in found))


def _row(row: Row, trace: Trace) -> tuple[str, ...]:
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


def _paint(drawn: Figure, report: Report, trace: Trace, found: tuple[Row, ...]) -> None:
    names = [label(row.name, MOST) for row in found]
    left = 8 + max(map(text_width, names), default=0.0)
    panel = axes(drawn, left, RIGHT, TOP, BOTTOM)
    start, stop = span(report, trace)
    time_axis(panel, start, stop, WIDTH - left - RIGHT)
    panel.grid(axis="x")
    panel.set_axisbelow(True)
    least = (stop - start) / (WIDTH - left - RIGHT) * 1.5  # nothing is too short to be seen
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
