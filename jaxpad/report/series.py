"""One measured quantity of all GPUs over the run's time: a lane each, all to one scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxpad.core.markup import COLOURS, WIDTH, Chart, Html, axes, table, text_width
from jaxpad.core.results import Report, Verdict
from jaxpad.core.text import HIGHEST, brief_number, clip, clock, mean, number
from jaxpad.nvml import Gap, GpuTrace, Trace
from jaxpad.report.text import Topic, topics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The run's time line: when each check file ran, and which GPU a trace is of.

LATEST_S = 1e8  # three years: beyond it nothing is drawn, whatever a file says


def drawn_at(seconds: float) -> float:
    """A time that has a place on an axis."""
    return clip(seconds, LATEST_S)


@dataclass(frozen=True)
class Band:
    """The time in which the checks of one file ran, in seconds after the run's start."""

    topic: Topic
    start_s: float
    stop_s: float


def bands(report: Report) -> tuple[Band, ...]:
    """One for each file of which a check began, in order of time."""
    found = []
    for topic in topics(report):
        begun = [(c.began, c.began + c.seconds) for c in topic.checks if c.began is not None]
        if begun:
            first, last = min(a for a, _ in begun), max(b for _, b in begun)
            found.append(Band(topic, drawn_at(first), drawn_at(last)))
    return tuple(sorted(found, key=lambda band: band.start_s))


def span(report: Report, trace: Trace) -> tuple[float, float]:
    """From the run's start, or the trace's, to the end of both."""
    last = max((band.stop_s for band in bands(report)), default=0.0)
    start, stop = drawn_at(trace.start_s), drawn_at(trace.stop_s)
    return min(0.0, start), max(last, stop, start + 1e-3)


def index(report: Report, at: int, gpu: GpuTrace) -> int:
    """NVML's index of the trace's GPU: by its place on the bus, else as the sampler counts."""
    bus = gpu.pci_bus_id.value
    known = (one.index for one in report.gpus if bus is not None and one.pci_bus_id == bus)
    return next(known, at)


def lane(count: int) -> float:
    """How high a GPU's lane is: one alone needs room to be read, eight share it."""
    return max(25.0, 110.0 / max(1, count))


def time_axis(panel: Axes, start_s: float, stop_s: float, width: float) -> None:
    """Ticks at round times, as minutes and seconds."""
    panel.set_xlim(start_s, stop_s)
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    wanted = (stop_s - start_s) * 48 / width  # a label takes up to 48 pixels
    step = next((each for each in steps if each >= wanted), math.ceil(wanted / 86400) * 86400)
    ticks = [step * at for at in range(int(stop_s // step) + 1)]
    panel.set_xticks(ticks, [clock(tick) for tick in ticks])


def shade(panel: Axes, found: tuple[Band, ...], per_second: float) -> None:
    """Every other file's time in grey, with its name above where that fits."""
    for at, band in enumerate(found):
        if at % 2 == 0:
            panel.axvspan(band.start_s, band.stop_s, color=COLOURS["band"], linewidth=0, zorder=0)
        name = band.topic.name
        if text_width(name, 8) + 4 <= (band.stop_s - band.start_s) * per_second:
            panel.annotate(
                name,
                ((band.start_s + band.stop_s) / 2, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=COLOURS["quiet"],
            )


LEFT, RIGHT, TOP, BOTTOM = 46.0, 46.0, 16.0, 18.0  # CSS pixels
BUSY = 50.0  # per cent of utilisation


@dataclass(frozen=True)
class Line:
    """One GPU's known samples of a quantity."""

    gpu: int
    trace: GpuTrace
    points: tuple[tuple[float, float], ...]

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]


def _highest(line: Line) -> float:
    return max(line.values)


def _mean(line: Line) -> float:
    return mean(line.values)


def _lowest_busy(line: Line) -> float:
    """The lowest value while the GPU was at work; of all, where it never was."""
    use = line.trace.columns.get("utilisation_percent", ())
    busy = {t for t, percent in zip(line.trace.time_s, use, strict=False) if (percent or 0) > BUSY}
    return min([value for time, value in line.points if time in busy] or line.values)


@dataclass(frozen=True)
class Quantity:
    """A column of a trace as people read it, and the one number that says most of a GPU."""

    column: str
    title: str
    unit: str
    telling: str
    head: str  # the same, short
    tell: Callable[[Line], float]
    from_zero: bool = True


QUANTITIES = (
    Quantity("power_watts", "Power", "W", "highest", "highest", _highest),
    Quantity("sm_mhz", "SM clock", "MHz", "lowest while busy", "busy min", _lowest_busy),
    Quantity("temperature_celsius", "Temperature", "°C", "highest", "highest", _highest, False),
    Quantity("utilisation_percent", "Utilisation", "%", "mean", "mean", _mean),
)


def lines(report: Report, trace: Trace, quantity: Quantity) -> tuple[Line, ...]:
    """A line for each GPU, those that told nothing included."""
    return tuple(
        Line(index(report, at, gpu), gpu, tuple(_known(gpu, quantity)))
        for at, gpu in enumerate(trace.gpus)
    )


def _known(gpu: GpuTrace, quantity: Quantity) -> Iterable[tuple[float, float]]:
    column = gpu.columns.get(quantity.column, ())
    pairs = zip(gpu.time_s, column, strict=False)
    return ((time, value) for time, value in pairs if value is not None)


def series(report: Report, trace: Trace, quantity: Quantity, worst: dict[int, Verdict]) -> Chart:
    """The chart of one quantity; `worst` is each GPU's verdict, by NVML's index."""
    found = lines(report, trace, quantity)
    return Chart(
        key=quantity.column.replace("_", "-"),
        title=f"{quantity.title}, {quantity.unit}",
        finding=_finding(found, quantity),
        numbers=_numbers(found, quantity),
        height=TOP + BOTTOM + lane(len(found)) * max(1, len(found)),
        paint=lambda drawn: _paint(drawn, report, trace, found, quantity, worst),
    )


def _finding(found: Sequence[Line], quantity: Quantity) -> str:
    if not any(line.points for line in found):
        return "No GPU told it."
    told = {line.gpu: quantity.tell(line) for line in found if line.points}
    low, high = min(told, key=told.__getitem__), max(told, key=told.__getitem__)
    least, most = brief_number(told[low]), brief_number(told[high])
    ends = f"{least} (GPU {low}) to {most} {quantity.unit} (GPU {high})"
    if brief_number(told[low]) == brief_number(told[high]):
        ends = f"{brief_number(told[low])} {quantity.unit}"
    first = quantity.telling[:1].upper() + quantity.telling[1:]
    return f"{first} by GPU: {ends}{_gone(found)}."


def _gone(found: Sequence[Line]) -> str:
    gone = [
        f"GPU {line.gpu} lost at {clock(lost.at_s)}" for line in found if (lost := line.trace.lost)
    ]
    return f"; {', '.join(gone)}" if gone else ""


def _numbers(found: Sequence[Line], quantity: Quantity) -> Html:
    heads = ("GPU", "Lowest", "Mean", "Highest", "At", quantity.telling.capitalize())
    caption = f"{quantity.title} by GPU, {quantity.unit}, of the samples kept"
    return table(caption, heads, (_row(line, quantity) for line in found))


def _row(line: Line, quantity: Quantity) -> tuple[str, ...]:
    if not line.points:
        why = line.trace.absent.get(quantity.column, "no sample")
        return f"GPU {line.gpu}", why, "", "", "", ""
    high, time = max((value, time) for time, value in line.points)
    shown = (number(min(line.values)), number(mean(line.values)), number(high), clock(time))
    return f"GPU {line.gpu}", *shown, number(quantity.tell(line))


def _paint(
    drawn: Figure,
    report: Report,
    trace: Trace,
    found: Sequence[Line],
    quantity: Quantity,
    worst: dict[int, Verdict],
) -> None:
    panel = axes(drawn, LEFT, RIGHT, TOP, BOTTOM)
    start, stop = span(report, trace)
    width = WIDTH - LEFT - RIGHT
    time_axis(panel, start, stop, width)
    shade(panel, bands(report), width / (stop - start))
    every = [clip(value, HIGHEST) for line in found for value in line.values] or [0.0]
    high = max(every)
    low = min(0.0, *every) if quantity.from_zero else min(every)
    for row, line in enumerate(found):
        bad = worst.get(line.gpu) is Verdict.FAIL or line.trace.lost is not None
        tone = COLOURS["fail" if bad else "series"]
        panel.axhline(row + 0.92, color=COLOURS["line"], linewidth=0.6, zorder=1)
        _lane(panel, row, line, trace.gaps, (low, (high - low) or 1.0), tone)
        told = brief_number(quantity.tell(line)) if line.points else "none"
        _beside(panel, row, told, tone if bad else COLOURS["ink"])
    _gaps(panel, trace.gaps)
    panel.set_ylim(max(1, len(found)), 0)
    names = [lane_name(line.gpu, worst, lost=line.trace.lost is not None) for line in found]
    panel.set_yticks([row + 0.55 for row in range(len(found))], names)
    _head(panel, quantity.head)


def lane_name(gpu: int, worst: dict[int, Verdict], *, lost: bool = False) -> str:
    """`✗ GPU 5` for one that fails."""
    return f"✗ GPU {gpu}" if lost or worst.get(gpu) is Verdict.FAIL else f"GPU {gpu}"


def _lane(
    panel: Axes,
    row: int,
    line: Line,
    gaps: Sequence[Gap],
    scale: tuple[float, float],
    tone: str,
) -> None:
    """The line in its lane, filled below, with a hole where nothing was seen."""
    low, extent = scale
    times, values = _broken(line.points, gaps)
    heights = [row + 0.92 - 0.84 * (clip(value, HIGHEST) - low) / extent for value in values]
    panel.fill_between(times, heights, row + 0.92, color=tone, alpha=0.18, linewidth=0)
    panel.plot(times, heights, color=tone, linewidth=0.9)
    if line.trace.lost is not None:
        _lost(panel, row, line)


def _lost(panel: Axes, row: int, line: Line) -> None:
    at_s = drawn_at(line.trace.lost.at_s) if line.trace.lost else 0.0
    fail = COLOURS["fail"]
    panel.plot([at_s], [row + 0.5], marker="X", markersize=8, color=fail, linewidth=0, zorder=5)
    panel.annotate(
        "lost",
        (at_s, row + 0.5),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        color=fail,
        weight="bold",
    )


def _broken(
    points: Sequence[tuple[float, float]], gaps: Sequence[Gap]
) -> tuple[list[float], list[float]]:
    holes = [(_middle(gap), math.nan) for gap in gaps]
    whole = sorted([*points, *holes], key=lambda point: point[0])
    return [drawn_at(time) for time, _ in whole], [value for _, value in whole]


def _middle(gap: Gap) -> float:
    return drawn_at(gap.start_s) / 2 + drawn_at(gap.stop_s) / 2


def _gaps(panel: Axes, gaps: Sequence[Gap]) -> None:
    """Each tinted all the way down, the longest with its name."""
    tone = COLOURS["inconclusive"]
    for gap in gaps:
        ends = drawn_at(gap.start_s), drawn_at(gap.stop_s)
        panel.axvspan(*ends, facecolor=tone, alpha=0.25, linewidth=0)
    if gaps:
        longest = max(gaps, key=lambda gap: gap.seconds)
        panel.annotate(
            "gap",
            (_middle(longest), 0.5),
            xycoords=("data", "axes fraction"),
            rotation=90,
            ha="center",
            va="center",
            fontsize=8,
            weight="bold",
            color=tone,
        )


def _beside(panel: Axes, row: int, told: str, tone: str) -> None:
    panel.annotate(
        told,
        (1, row + 0.55),
        xycoords=("axes fraction", "data"),
        xytext=(RIGHT - 4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=tone,
    )


def _head(panel: Axes, words: str) -> None:
    """What the numbers at the right are."""
    panel.annotate(
        words,
        (1, 1),
        xycoords="axes fraction",
        xytext=(RIGHT - 4, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=COLOURS["quiet"],
    )
