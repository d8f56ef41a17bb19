"""One measured quantity of all GPUs over the run's time: a line each, named at its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from jaxpad.nvml import Gap, GpuTrace, Trace
from jaxpad.report._canvas import WIDTH, Chart, axes
from jaxpad.report._figures import number
from jaxpad.report._svg import COLOURS
from jaxpad.report._tags import Html, table
from jaxpad.report._times import bands, clock, index, shade, span, time_axis
from jaxpad.results import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 150.0, 34.0, 28.0, 16.0, 18.0  # CSS pixels
_APART = 9.5  # pixels between two names at the lines' ends
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
)


@dataclass(frozen=True)
class Quantity:
    """A column of a trace as people read it."""

    column: str
    title: str
    unit: str
    scale: float = 1.0  # what NVML's number is multiplied by
    top: float | None = None  # the axis ends here, if it has a natural end


QUANTITIES = (
    Quantity("power_watts", "Power", "W"),
    Quantity("sm_mhz", "SM clock", "MHz"),
    Quantity("temperature_celsius", "Temperature", "°C"),
    Quantity("utilisation_percent", "Utilisation", "%", top=100),
)


@dataclass(frozen=True)
class Line:
    """One GPU's known samples of a quantity."""

    gpu: int
    trace: GpuTrace
    points: tuple[tuple[float, float], ...]

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]


def lines(report: Report, trace: Trace, quantity: Quantity) -> tuple[Line, ...]:
    """A line for each GPU, those that told nothing included."""
    return tuple(
        Line(index(report, at, gpu), gpu, tuple(_known(gpu, quantity)))
        for at, gpu in enumerate(trace.gpus)
    )


def _known(gpu: GpuTrace, quantity: Quantity) -> Iterable[tuple[float, float]]:
    column = gpu.columns.get(quantity.column, ())
    pairs = zip(gpu.time_s, column, strict=False)
    return ((time, quantity.scale * value) for time, value in pairs if value is not None)


def series(report: Report, trace: Trace, quantity: Quantity) -> Chart:
    """The chart of one quantity."""
    found = lines(report, trace, quantity)
    return Chart(
        key=quantity.column.replace("_", "-"),
        title=f"{quantity.title}, {quantity.unit}",
        finding=_finding(found, quantity),
        numbers=_numbers(found, quantity),
        height=HEIGHT,
        paint=lambda drawn: _paint(drawn, report, trace, found, quantity),
    )


def _finding(found: Sequence[Line], quantity: Quantity) -> str:
    every = [(value, time, line.gpu) for line in found for time, value in line.points]
    if not every:
        return "No GPU told it."
    (low, low_s, low_gpu), (high, high_s, high_gpu) = min(every), max(every)
    lost = [f" GPU {line.gpu} was lost at {clock(_lost(line))}." for line in found if _is_lost(line)]
    return (
        f"{number(low)} (GPU {low_gpu}, {clock(low_s)}) to {number(high)} {quantity.unit} "
        f"(GPU {high_gpu}, {clock(high_s)}).{''.join(lost)}"
    )


def _is_lost(line: Line) -> bool:
    return line.trace.lost is not None


def _lost(line: Line) -> float:
    return line.trace.lost.at_s if line.trace.lost else 0.0


def _numbers(found: Sequence[Line], quantity: Quantity) -> Html:
    heads = ("GPU", "Lowest", "Mean of samples", "Highest", "At", "Samples kept")
    caption = f"{quantity.title} by GPU, {quantity.unit}"
    return table(caption, heads, (_row(line, quantity) for line in found))


def _row(line: Line, quantity: Quantity) -> tuple[str, ...]:
    if not line.points:
        why = line.trace.absent.get(quantity.column, "no sample")
        return f"GPU {line.gpu}", why, "", "", "", "0"
    high, time = max((value, time) for time, value in line.points)
    shown = (number(min(line.values)), number(fmean(line.values)), number(high), clock(time))
    return f"GPU {line.gpu}", *shown, str(len(line.points))


def _paint(
    drawn: Figure, report: Report, trace: Trace, found: Sequence[Line], quantity: Quantity
) -> None:
    panel = axes(drawn, LEFT, RIGHT, TOP, BOTTOM)
    start, stop = span(report, trace)
    width = WIDTH - LEFT - RIGHT
    time_axis(panel, start, stop, width)
    shade(panel, bands(report), width / (stop - start))
    every = [value for line in found for value in line.values] or [0.0, 1.0]
    low, high = min(every), max(every)
    floor = 0.0 if low < high / 2 or quantity.top else low - 0.15 * (high - low or 1)
    panel.set_ylim(floor, quantity.top * 1.04 if quantity.top else high + 0.08 * (high - floor or 1))
    panel.locator_params(axis="y", nbins=5)
    panel.grid(axis="y")
    for line in found:
        _line(panel, line, trace.gaps)
    _gaps(panel, trace.gaps)
    _names(panel, found)


def look(gpu: int) -> dict[str, object]:
    """Colour and dashes of a GPU's line, the same in every chart."""
    return {"color": COLOURS[f"series-{gpu % 8}"], "linestyle": DASHES[gpu % 8 // 4 + gpu // 8 % 3]}


def _line(panel: Axes, line: Line, gaps: Sequence[Gap]) -> None:
    times, values = _broken(line.points, gaps)
    panel.plot(times, values, linewidth=1.1, solid_joinstyle="round", **look(line.gpu))
    if _is_lost(line) and line.points:
        time, value = line.points[-1]
        panel.plot([time], [value], marker="X", markersize=7, color=COLOURS["fail"], zorder=5)
        panel.annotate(
            f"GPU {line.gpu} lost",
            (time, value),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=COLOURS["fail"],
            weight="bold",
        )


def _broken(
    points: Sequence[tuple[float, float]], gaps: Sequence[Gap]
) -> tuple[list[float], list[float]]:
    """The points with a hole in each gap, where nothing was seen."""
    holes = [((gap.start_s + gap.stop_s) / 2, math.nan) for gap in gaps]
    whole = sorted([*points, *holes], key=lambda point: point[0])
    return [time for time, _ in whole], [value for _, value in whole]


def _gaps(panel: Axes, gaps: Sequence[Gap]) -> None:
    """Named once, at the longest."""
    for gap in gaps:
        panel.axvspan(gap.start_s, gap.stop_s, ymax=0.06, color=COLOURS["inconclusive"], linewidth=0)
    if gaps:
        longest = max(gaps, key=lambda gap: gap.seconds)
        panel.annotate(
            "no samples",
            ((longest.start_s + longest.stop_s) / 2, 0.06),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=COLOURS["inconclusive"],
        )


def _names(panel: Axes, found: Sequence[Line]) -> None:
    """Each GPU's number at the right, as near to its line's end as its neighbours allow."""
    ends = [line for line in found if line.points and not _is_lost(line)]
    low, high = panel.get_ylim()
    pixels = HEIGHT - TOP - BOTTOM
    wanted = {line.gpu: pixels * (line.points[-1][1] - low) / (high - low) for line in ends}
    for gpu, place in spread(wanted, _APART, pixels).items():
        panel.annotate(
            str(gpu),
            (1, wanted[gpu] / pixels),
            xycoords="axes fraction",
            xytext=(18, place - wanted[gpu]),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            color=look(gpu)["color"],
            weight="bold",
            arrowprops={
                "arrowstyle": "-",
                "color": look(gpu)["color"],
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def spread(wanted: dict[int, float], apart: float, most: float) -> dict[int, float]:
    """Places near the wanted ones, at least `apart` from each other where there is room."""
    order = sorted(wanted, key=lambda name: (wanted[name], -name))
    apart = min(apart, most / max(1, len(order)))
    places: list[float] = []
    for name in order:
        places.append(max(wanted[name], places[-1] + apart if places else 0.0))
    for at in reversed(range(len(places))):
        limit = places[at + 1] - apart if at + 1 < len(places) else most
        places[at] = min(places[at], limit)
    return dict(zip(order, places, strict=True))
