"""The roofline: each program's rate over its FLOP for a byte, under what the GPU allows.

Williams, Waterman and Patterson, https://doi.org/10.1145/1498765.1498785.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from jaxpad.core.markup import COLOURS, Chart, Html, axes, label, table
from jaxpad.core.results import Gpu, Report
from jaxpad.core.text import HIGHEST, brief_number, number, one_line, percent, plural, ratio
from jaxpad.report.rates import Program, programs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 400.0, 290.0  # CSS pixels
LEFT, RIGHT, TOP, BOTTOM = 40.0, 58.0, 8.0, 34.0
_NEAR = 13.0  # pixels between points that share one label
MEMORY = "memory"
LOWEST = 1e-30  # TFLOP/s, GB/s or FLOP for a byte that are drawn, up to HIGHEST


@dataclass(frozen=True)
class Point:
    """One program on the GPUs of one kind."""

    number: int
    program: Program
    intensity: float
    tflops: float  # median over the GPUs
    together: bool


@dataclass(frozen=True)
class Kind:
    """GPUs with the same peaks."""

    name: str
    indices: tuple[int, ...]
    peaks: dict[str, float]

    @property
    def roofs(self) -> dict[str, float]:
        """Peak TFLOP/s by dtype, those that are the same named together."""
        by_peak: dict[float, list[str]] = {}
        for dtype, peak in self.peaks.items():
            if dtype != MEMORY:
                by_peak.setdefault(peak, []).append(dtype)
        return {", ".join(names): peak for peak, names in by_peak.items()}

    def bound(self, intensity: float) -> float:
        """What the memory allows at this intensity, TFLOP/s."""
        return self.peaks[MEMORY] * intensity / 1000


def kinds(report: Report) -> tuple[Kind, ...]:
    """The kinds of GPU whose peaks are known."""
    found: dict[str, list[Gpu]] = {}
    for gpu in report.gpus:
        if MEMORY in _peaks(gpu) and len(_peaks(gpu)) > 1:
            found.setdefault(gpu.description or gpu.name, []).append(gpu)
    return tuple(
        Kind(name, tuple(gpu.index for gpu in gpus), _peaks(gpus[0]))
        for name, gpus in found.items()
    )


def _peaks(gpu: Gpu) -> dict[str, float]:
    """Those that have a place on an axis of logarithms."""
    return {name: peak for name, peak in gpu.peaks.items() if _drawn(peak)}


def _drawn(value: float) -> bool:
    return LOWEST < value < HIGHEST


def points(report: Report, kind: Kind) -> tuple[Point, ...]:
    """The programs of this kind whose intensity is known; all at once where that was timed."""
    found: list[Point] = []
    for program in programs(report):
        for together in (True, False):
            rates = list(_rates(program, kind, together))
            if rates:
                intensity, tflops = median(i for i, _ in rates), median(t for _, t in rates)
                found.append(Point(len(found) + 1, program, intensity, tflops, together))
                break
    return tuple(found)


def _rates(program: Program, kind: Kind, together: bool) -> Iterator[tuple[float, float]]:
    """Intensity and TFLOP/s of each GPU."""
    mine = {f"GPU {index}" for index in kind.indices}
    for entry in program.entries:
        rate = entry.rate
        here = rate.platform == "gpu" and entry.place.partition(",")[0] in mine
        if not here or rate.together is not together or not rate.intensity:
            continue
        tflops = rate.median if rate.unit == "TFLOP/s" else rate.median * rate.intensity / 1000
        if _drawn(rate.intensity) and _drawn(tflops):
            yield rate.intensity, tflops


def rooflines(report: Report) -> tuple[Chart, ...]:
    """A chart for each kind of GPU that has points."""
    pairs = [(kind, points(report, kind)) for kind in kinds(report)]
    return tuple(_chart(at, kind, found) for at, (kind, found) in enumerate(pairs) if found)


def _chart(at: int, kind: Kind, found: tuple[Point, ...]) -> Chart:
    return Chart(
        key=f"roofline-{at}",
        title=f"Roofline of {one_line(kind.name)}",
        finding=_finding(kind, found),
        numbers=_numbers(kind, found),
        height=HEIGHT,
        width=WIDTH,
        paint=lambda drawn: _paint(drawn, kind, found),
    )


def _limit(kind: Kind, point: Point) -> tuple[float, str]:
    """The roof over a point: the memory's, or that of the dtype its name holds."""
    memory = kind.bound(point.intensity)
    dtypes = {dtype: peak for dtype, peak in kind.peaks.items() if dtype != MEMORY}
    named = [dtype for dtype in dtypes if dtype in point.program.name.split()]
    dtype = named[0] if named else max(dtypes, key=dtypes.__getitem__)
    return min((memory, MEMORY), (dtypes[dtype], dtype))


def _finding(kind: Kind, found: tuple[Point, ...]) -> str:
    under = sum(_limit(kind, point)[1] == MEMORY for point in found)
    words = "is" if under == 1 else "are"
    return (
        f"{plural(len(found), 'program')}, all at once, median of {_named(kind)}; "
        f"{under} {words} bound by memory, {len(found) - under} by arithmetic."
    )


def _named(kind: Kind) -> str:
    if len(kind.indices) == 1:
        return f"GPU {kind.indices[0]}"
    return f"GPUs {', '.join(map(str, kind.indices))}"


def _numbers(kind: Kind, found: tuple[Point, ...]) -> Html:
    heads = ("No.", "Program", "FLOP for a byte", "TFLOP/s", "Roof", "Of it")
    return table("Programs under the roofline", heads, (_row(kind, point) for point in found))


def _row(kind: Kind, point: Point) -> tuple[str, ...]:
    roof, why = _limit(kind, point)
    return (
        str(point.number),
        point.program.name if point.together else f"{point.program.name}, one by one",
        number(point.intensity),
        brief_number(point.tflops),
        f"{number(roof)} ({why})",
        percent(ratio(point.tflops, roof) or 0.0).replace(" ", "\u00a0"),
    )


def _paint(drawn: Figure, kind: Kind, found: tuple[Point, ...]) -> None:
    panel = axes(drawn, LEFT, RIGHT, TOP, BOTTOM)
    roofs = kind.roofs
    ridge = max(roofs.values()) * 1000 / kind.peaks[MEMORY]
    low = min([point.intensity for point in found] + [ridge / 100]) / 2
    high = max([point.intensity for point in found] + [ridge]) * 4
    floor = min([point.tflops for point in found] + [kind.bound(low)]) / 1.6
    panel.set(xscale="log", yscale="log", xlim=(low, high), ylim=(floor, max(roofs.values()) * 1.8))
    panel.set_xlabel("FLOP for a byte of memory traffic", fontsize=8.5)
    panel.set_ylabel("TFLOP/s", fontsize=8.5, labelpad=0)
    panel.grid(which="major")
    panel.set_axisbelow(True)
    _ticks(panel)
    _roofs(panel, kind, low, high)
    _points(panel, found)


def _ticks(panel: Axes) -> None:
    """Plain numbers: an exponent is drawn as a formula."""
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        axis.set_minor_formatter(lambda *_: "")
    panel.tick_params(axis="y", labelcolor=COLOURS["quiet"])


def _roofs(panel: Axes, kind: Kind, low: float, high: float) -> None:
    top = max(kind.roofs.values())
    ridge = top * 1000 / kind.peaks[MEMORY]
    panel.plot([low, ridge], [kind.bound(low), top], color=COLOURS["ink"], linewidth=1.4)
    for peak in kind.roofs.values():
        start = peak * 1000 / kind.peaks[MEMORY]
        panel.plot([start, high], [peak, peak], color=COLOURS["ink"], linewidth=1.1)
    _name_roofs(panel, kind)
    middle = math.sqrt(low * ridge)
    panel.annotate(
        f"memory {number(kind.peaks[MEMORY])} GB/s",
        (middle, kind.bound(middle)),
        xytext=(-4, 4),
        textcoords="offset points",
        ha="center",
        va="bottom",
        rotation=math.degrees(math.atan2(*_slope(panel))),
        rotation_mode="anchor",
        fontsize=8.5,
        color=COLOURS["quiet"],
    )


def _slope(panel: Axes) -> tuple[float, float]:
    """Pixels up and right of a line that is straight in the logarithms."""
    (low, high), (floor, top) = panel.get_xlim(), panel.get_ylim()
    up = (HEIGHT - TOP - BOTTOM) / math.log10(top / floor)
    return up, (WIDTH - LEFT - RIGHT) / math.log10(high / low)


def _name_roofs(panel: Axes, kind: Kind) -> None:
    """At the right, apart from each other."""
    floor, top = panel.get_ylim()
    pixels = HEIGHT - TOP - BOTTOM
    roofs = list(kind.roofs.items())
    wanted = {
        at: pixels * math.log(peak / floor) / math.log(top / floor)
        for at, (_, peak) in enumerate(roofs)
    }
    for at, place in _spread(wanted, 20, pixels).items():
        names, peak = roofs[at]
        panel.annotate(
            f"{label(names, RIGHT - 6, 8)}\n{number(peak)}",
            (1, place / pixels),
            xycoords="axes fraction",
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            linespacing=1.0,
        )


def _spread(wanted: dict[int, float], apart: float, most: float) -> dict[int, float]:
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


def _points(panel: Axes, found: tuple[Point, ...]) -> None:
    """Numbered, as names would lie on each other; points at one place share a label."""
    tone = COLOURS["series"]
    for point in found:
        face = tone if point.together else COLOURS["page"]
        panel.plot(
            point.intensity, point.tflops, "o", markersize=6, markerfacecolor=face, color=tone
        )
    for group in _near(panel, found):
        panel.annotate(
            ", ".join(str(point.number) for point in group),
            (group[-1].intensity, min(point.tflops for point in group)),
            xytext=(5, -5),
            textcoords="offset points",
            ha="left",
            va="top",
            fontsize=9,
            weight="bold",
        )


def _near(panel: Axes, found: tuple[Point, ...]) -> list[list[Point]]:
    up, right = _slope(panel)
    groups: list[list[Point]] = []
    for point in found:
        for group in groups:
            first = group[0]
            across = right * abs(math.log10(point.intensity / first.intensity))
            if math.hypot(across, up * abs(math.log10(point.tflops / first.tflops))) < _NEAR:
                group.append(point)
                break
        else:
            groups.append([point])
    return groups
