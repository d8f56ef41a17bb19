"""The run's time line: when each check file ran, and which GPU a trace is of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxpad.nvml import GpuTrace, Trace
from jaxpad.report._canvas import text_width
from jaxpad.report._digest import Topic, topics
from jaxpad.report._figures import clock
from jaxpad.report._svg import COLOURS
from jaxpad.results import Report
from jaxpad.shares import clip

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
