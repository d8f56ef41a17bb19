"""When each check file ran: a row a file, a bar a check."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from jaxpad.nvml import Trace
from jaxpad.report._canvas import WIDTH, Chart, axes, label
from jaxpad.report._figures import duration, number, plural
from jaxpad.report._signs import SIGNS, style
from jaxpad.report._svg import COLOURS
from jaxpad.report._tags import Html, table
from jaxpad.report._times import Band, bands, clock, span, time_axis
from jaxpad.results import Report
from jaxpad.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, TOP, BOTTOM, ROW = 20.0, 4.0, 18.0, 14.0  # CSS pixels
_LETTER = 5.2


def when(report: Report, trace: Trace) -> Chart:
    """The chart, with what the GPUs did in each file's time as its numbers."""
    found = bands(report)
    return Chart(
        key="when",
        title="What ran when",
        finding=_finding(found),
        numbers=_numbers(found, trace),
        height=TOP + BOTTOM + ROW * max(8, len(found)),
        paint=lambda drawn: _paint(drawn, report, trace, found),
    )


def _finding(found: tuple[Band, ...]) -> str:
    if not found:
        return "No check began."
    longest = max(found, key=lambda band: band.stop_s - band.start_s)
    took = duration(longest.stop_s - longest.start_s)
    return f"{plural(len(found), 'check file')}; the longest, {longest.topic.name}, took {took}."


def _numbers(found: tuple[Band, ...], trace: Trace) -> Html:
    heads = ("File", "From", "To", "Power, mean", "SM clock, lowest", "Temperature, highest")
    return table("What the GPUs did while each file ran", heads, (_row(b, trace) for b in found))


def _row(band: Band, trace: Trace) -> tuple[str, ...]:
    watts, clocks, heat = (
        _within(band, trace, column) for column in ("power_watts", "sm_mhz", "temperature_celsius")
    )
    return (
        band.topic.name,
        clock(band.start_s),
        clock(band.stop_s),
        f"{number(fmean(watts))} W" if watts else "no sample",
        f"{number(min(clocks))} MHz" if clocks else "no sample",
        f"{number(max(heat))} °C" if heat else "no sample",
    )


def _within(band: Band, trace: Trace, column: str) -> list[float]:
    """The samples of all GPUs in a band's time."""
    return [
        value
        for gpu in trace.gpus
        for time, value in zip(gpu.time_s, gpu.columns.get(column, ()), strict=False)
        if value is not None and band.start_s <= time <= band.stop_s
    ]


def _paint(drawn: Figure, report: Report, trace: Trace, found: tuple[Band, ...]) -> None:
    names = [label(band.topic.name) for band in found]
    left = 8 + _LETTER * max(map(len, names), default=0)
    panel = axes(drawn, left, RIGHT, TOP, BOTTOM)
    start, stop = span(report, trace)
    time_axis(panel, start, stop, WIDTH - left - RIGHT)
    panel.grid(axis="x")
    panel.set_axisbelow(True)
    least = (stop - start) / (WIDTH - left - RIGHT) * 1.5  # a check is never too short to see
    for row, band in enumerate(found):
        _bars(panel, row, band, least)
        _sign(panel, row, band)
    panel.set_ylim(len(found) - 0.5, -0.5)
    panel.set_yticks(range(len(found)), names)


def _bars(panel: Axes, row: int, band: Band, least: float) -> None:
    for verdict in Verdict:
        mine = [
            (check.began, max(least, check.seconds))
            for check in band.topic.checks
            if check.began is not None and check.verdict is verdict
        ]
        tone = COLOURS[style(verdict)]
        panel.broken_barh(mine, (row - 0.33, 0.66), facecolor=tone, linewidth=0, zorder=2)


def _sign(panel: Axes, row: int, band: Band) -> None:
    verdict = band.topic.verdict
    panel.annotate(
        SIGNS[verdict],
        (1, row),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        weight="bold",
        color=COLOURS[style(verdict)],
    )
