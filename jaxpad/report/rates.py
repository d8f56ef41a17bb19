"""A report's rates gathered for reading: by program, each with what it is held to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jaxpad.core.markup import COLOURS, SIGNS, Chart, Html, axes, label, table, text_width
from jaxpad.core.results import Judgement, Rate, Report, Verdict, overall
from jaxpad.core.text import HIGHEST, brief_number, clip, number, percent, ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class Entry:
    """One rate, and the judgement on it if there is one."""

    rate: Rate
    judgement: Judgement | None
    place: str  # "GPU 3", "CPU 0", or of a rate of all devices its variant

    @property
    def verdict(self) -> Verdict | None:
        return self.judgement.verdict if self.judgement else None

    @property
    def peak(self) -> float | None:
        return self.judgement.peak if self.judgement else None

    @property
    def gate(self) -> float | None:
        """The least that passes; None where none is set, which a bound of 0 says, too."""
        return (self.judgement.gate or None) if self.judgement else None

    @property
    def share(self) -> float | None:
        """Of the peak: 1.0 is all of it."""
        return None if self.peak is None else ratio(self.rate.median, self.peak)


@dataclass(frozen=True)
class Program:
    """All rates of one program: of one variant on each device, or of all variants on all."""

    name: str
    platform: str
    unit: str
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """A CPU's rate is never taken for a GPU's."""
        return f"{self.name} on the CPU" if self.platform == "cpu" else self.name

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.place for entry in self.entries))

    def at(self, place: str) -> tuple[Entry, ...]:
        """The entries of one place, one by one before together."""
        found = [entry for entry in self.entries if entry.place == place]
        return tuple(sorted(found, key=lambda entry: entry.rate.together))

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its judgements; None where there is none."""
        found = [entry.verdict for entry in self.entries if entry.verdict]
        return overall(found) if found else None

    @property
    def scaled(self) -> bool:
        """Whether every rate has a peak to be shown against."""
        return all(entry.peak is not None and entry.peak > 0 for entry in self.entries)


Key = tuple[str, str, str, int | None, bool, float]


def _key(rate: Rate) -> Key:
    """What tells two rates apart; the median does not, as NaN differs from itself."""
    about = (rate.platform, rate.program, rate.variant)
    return (*about, rate.device, rate.together, rate.start_s)


def programs(report: Report) -> tuple[Program, ...]:
    """Every program that was timed, the GPU's first, in the order they ran."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries(report):
        rate = entry.rate
        name = rate.name if rate.device is not None else rate.program
        groups.setdefault((rate.platform, name, rate.unit), []).append(entry)
    found = [
        Program(name, platform, unit, tuple(group))
        for (platform, name, unit), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda program: program.platform == "cpu"))


def entries(report: Report) -> tuple[Entry, ...]:
    """Every rate with its judgement, those that only a judgement holds included."""
    judged = {_key(judgement.rate): judgement for judgement in report.judgements}
    rates = {_key(judgement.rate): judgement.rate for judgement in report.judgements}
    rates = {_key(rate): rate for rate in report.rates} | rates
    return tuple(
        Entry(rate, judged.get(key), _place(report, rate, judged.get(key)))
        for key, rate in rates.items()
    )


def _place(report: Report, rate: Rate, judgement: Judgement | None) -> str:
    if rate.device is None:
        return rate.variant or "all devices"
    if rate.platform == "cpu":
        return f"CPU {rate.device}"
    owners = [gpu for gpu in report.gpus if rate.device in gpu.devices]
    index = judgement.gpu if judgement else None
    if index is None:
        index = owners[0].index if owners else None
    if index is None:
        return f"device {rate.device}"
    cut = any(gpu.index == index and len(gpu.devices) > 1 for gpu in report.gpus)
    return f"GPU {index}, device {rate.device}" if cut else f"GPU {index}"


def extent(values: list[float]) -> str:
    """`672 to 701`, or the one number they all are."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "no number"
    low, high = brief_number(min(finite)), brief_number(max(finite))
    return low if low == high else f"{low} to {high}"


def finding(program: Program) -> str:
    """A program in one sentence: rates, share of the peak, gate, and who falls short."""
    found = {True: list[float](), False: list[float]()}
    for entry in program.entries:
        found[entry.rate.together or entry.rate.device is None].append(entry.rate.median)
    how = {False: "one by one", True: "all at once"}
    told = [f"{how[key]} {extent(found[key])}" for key in how if found[key]]
    first = f"{', '.join(told)} {program.unit}"
    return "; ".join([first[:1].upper() + first[1:], *_held(program), *_short(program)]) + "."


def reached(program: Program) -> str:
    """The same in half a line: `663 to 684 TFLOP/s, 67 to 69 % of peak, gate 593: pass`.

    All at once, which is how GPUs are used, where that was timed.
    """
    loaded = [e for e in program.entries if e.rate.together or e.rate.device is None]
    shown = replace(program, entries=tuple(loaded or program.entries))
    parts = [f"{extent([e.rate.median for e in shown.entries])} {program.unit}", *_held(shown)]
    return f"{', '.join(parts)}: {'; '.join(_short(program)) or program.verdict}"


def _held(program: Program) -> list[str]:
    shares = [entry.share for entry in program.entries if entry.share is not None]
    gates = [entry.gate for entry in program.entries if entry.gate is not None]
    parts = [f"{_percents(shares)} of peak"] if shares else []
    if gates:
        low, high = number(min(gates)), number(max(gates))
        parts.append(f"gate {low}" if low == high else f"gates {low} to {high}")
    return [", ".join(parts)] if parts else []


def _percents(shares: list[float]) -> str:
    """`37 to 72 %`."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _short(program: Program) -> list[str]:
    parts = []
    for verdict in WRONG:
        places = dict.fromkeys(e.place for e in program.entries if e.verdict is verdict)
        if places:
            parts.append(f"{verdict}: {', '.join(places)}")
    return parts


# A program's rates as a bullet chart: a row for each GPU, its gate, the peak as 100 %.

ROW, TOP, BOTTOM, RIGHT = 21.0, 16.0, 18.0, 58.0  # CSS pixels
MOST_OF_PEAK = 130.0  # per cent
MOST = 110.0  # pixels that a name may take
_TONES = {Verdict.FAIL: "fail", Verdict.INCONCLUSIVE: "inconclusive"}


def bullet(program: Program, key: str) -> Chart:
    """One chart; one-by-one rates are hollow bars above, all-at-once rates solid ones below."""
    height = TOP + BOTTOM + ROW * len(program.places)
    return Chart(
        key=key,
        title=program.title,
        finding=finding(program),
        numbers=_numbers(program),
        height=height,
        paint=lambda drawn: _paint(drawn, program),
    )


def _numbers(program: Program) -> Html:
    heads = (
        "Where",
        "How",
        f"Median, {program.unit}",
        "Spread (IQR)",
        "Of peak",
        "Gate",
        "Verdict",
    )
    rows = (_row(entry) for place in program.places for entry in program.at(place))
    return table(f"{program.title}: rates", heads, rows)


def _row(entry: Entry) -> tuple[str, ...]:
    rate = entry.rate
    share = "" if entry.share is None else percent(entry.share, 1)
    gate = "none" if entry.gate is None else number(entry.gate)
    how = "all at once" if rate.together or rate.device is None else "one by one"
    shown = (number(rate.median), number(rate.spread), share, gate)
    return entry.place, how, *shown, str(entry.verdict or "not judged")


@dataclass(frozen=True)
class Bar:
    """Where a rate's bar stands, and how it looks."""

    y: float
    height: float
    entry: Entry

    @property
    def solid(self) -> bool:
        return self.entry.rate.together or self.entry.rate.device is None

    @property
    def tone(self) -> str:
        return COLOURS[_TONES.get(self.entry.verdict or Verdict.PASS, "series")]


def _paint(drawn: Figure, program: Program) -> None:
    names = [label(place, MOST) for place in program.places]
    panel = axes(drawn, 8 + max(map(text_width, names)), RIGHT, TOP, BOTTOM)
    panel.set_yticks(range(len(names)), names)
    bars = [bar for row, place in enumerate(program.places) for bar in _row_of(program, row, place)]
    _bars(panel, program, bars)
    _gates(panel, program, bars)
    for bar in bars:
        _number(panel, bar)
    _scale(panel, program)


def _row_of(program: Program, row: int, place: str) -> Iterator[Bar]:
    """The bars of a row, one below the other."""
    found = program.at(place)
    height = 0.74 / len(found)
    for at, entry in enumerate(found):
        yield Bar(row - 0.37 + height * (at + 0.5), height, entry)


def _length(program: Program, entry: Entry, value: float) -> float:
    """In per cent of the entry's own peak, or in the unit where there is no peak.

    Cut where no rate can be: an axis cannot go beyond what a float holds.
    """
    if program.scaled and entry.peak is not None:
        return 100 * (ratio(value, entry.peak) or 0.0)
    return clip(value, HIGHEST)


def _bars(panel: Axes, program: Program, bars: list[Bar]) -> None:
    """One call for all that look alike: each costs a millisecond."""
    for look in dict.fromkeys((bar.solid, bar.tone) for bar in bars):
        solid, tone = look
        mine = [
            bar
            for bar in bars
            if (bar.solid, bar.tone) == look and math.isfinite(bar.entry.rate.median)
        ]
        panel.barh(
            [bar.y for bar in mine],
            [max(0.0, _length(program, bar.entry, bar.entry.rate.median)) for bar in mine],
            [bar.height * 0.8 for bar in mine],
            facecolor=tone if solid else "none",
            edgecolor=tone,
            linewidth=1,
        )


def _gates(panel: Axes, program: Program, bars: list[Bar]) -> None:
    """A thick mark each, with a rim that parts it from its bar."""
    held = [(bar, bar.entry.gate) for bar in bars if bar.entry.gate is not None]
    places = [_length(program, bar.entry, gate) for bar, gate in held]
    ends = ([bar.y + sign * bar.height / 2 for bar, _ in held] for sign in (-1, 1))
    low, high = ends
    for tone, width in (("page", 4.0), ("ink", 2.2)):
        panel.vlines(places, low, high, color=COLOURS[tone], linewidth=width)


def _number(panel: Axes, bar: Bar) -> None:
    """At the right, after the sign of a verdict that is no pass."""
    verdict = bar.entry.verdict
    wrong = verdict in WRONG
    sign = f"{SIGNS[verdict]} " if verdict and wrong else ""
    panel.annotate(
        f"{sign}{number(bar.entry.rate.median)}",
        (1, bar.y),
        xycoords=("axes fraction", "data"),
        xytext=(RIGHT - 4, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=8.5,
        color=bar.tone if wrong else COLOURS["ink"],
    )


def _scale(panel: Axes, program: Program) -> None:
    medians = [
        _length(program, e, e.rate.median) for e in program.entries if math.isfinite(e.rate.median)
    ]
    gates = [_length(program, e, e.gate) for e in program.entries if e.gate is not None]
    full = 100.0 if program.scaled else 0.0
    panel.set_xlim(0, max([full, *medians, *gates, 1e-9]) * (1.0 if full else 1.04))
    panel.set_ylim(len(program.places) - 0.5, -0.5)
    _ticks(panel, program)
    panel.grid(axis="x", zorder=0)
    panel.set_axisbelow(True)
    _heads(panel, program)


def _ticks(panel: Axes, program: Program) -> None:
    """Quarters of the peak; round numbers where there is none, or a rate far beyond it."""
    if program.scaled and panel.get_xlim()[1] < MOST_OF_PEAK:
        panel.set_xticks([0, 25, 50, 75, 100], ["0", "25", "50", "75", "100 %"])
    else:
        unit = " %" if program.scaled else ""
        panel.locator_params(axis="x", nbins=4)
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}{unit if value else ''}")


def _heads(panel: Axes, program: Program) -> None:
    """Names above the plot: the unit over the numbers, the gate over its mark."""
    above: dict[str, Any] = {
        "textcoords": "offset points",
        "fontsize": 8.5,
        "color": COLOURS["quiet"],
    }
    panel.annotate(
        label(program.unit, RIGHT),
        (1, 1),
        xycoords="axes fraction",
        xytext=(RIGHT - 4, 4),
        ha="right",
        **above,
    )
    gated = next((entry for entry in program.entries if entry.gate is not None), None)
    if gated and gated.gate is not None:
        place = (_length(program, gated, gated.gate), 1)
        panel.annotate(
            "gate", place, xycoords=("data", "axes fraction"), xytext=(0, 4), ha="center", **above
        )
