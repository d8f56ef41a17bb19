"""Two pictures: every program against the baseline, and the best one as the search went on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jaxpad.report._canvas import Chart, axes, label
from jaxpad.report._svg import COLOURS
from jaxpad.report._tags import Html
from jaxpad.tune._model import Candidate, End, Measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 60  # programs in the picture; the table has all
WIDTH, ROW, NAMES = 720.0, 18.0, 300.0  # CSS pixels
SIGNS = {
    End.MEASURED: "•",
    End.STOPPED: "▿",
    End.WRONG: "≠",
    End.FAILED: "✗",
    End.DISTURBED: "?",
}


def named(candidate: Candidate) -> str:
    """The flags without the words that all of them share."""
    short = (f"{name.removeprefix('xla_')}={value}" for name, value in candidate.flags)
    return " ".join(short) or "the baseline's flags"


def ranked(measured: Sequence[Measured]) -> list[Measured]:
    """Fastest first, then those without a ratio."""
    return sorted(measured, key=lambda one: -(one.ratio.value if one.ratio else 0.0))


def forest(measured: Sequence[Measured], winner: Candidate | None, numbers: Html) -> Chart:
    """Each program's speed-up with its interval beside the line of the baseline."""
    shown = ranked(measured)[:MOST]
    ahead = sum(bool(one.ratio and one.ratio.faster) for one in measured)
    return Chart(
        key="programs",
        title="Speed-up of every distinct program",
        finding=(
            f"{ahead} of {len(measured)} lie above 1.0 with their whole interval. "
            "Right of the line is faster than the baseline; a hollow mark was stopped early."
        ),
        numbers=numbers,
        height=60 + ROW * len(shown),
        paint=lambda drawn: _paint(drawn, shown, winner),
        width=WIDTH,
    )


def _paint(drawn: Figure, shown: Sequence[Measured], winner: Candidate | None) -> None:
    panel = axes(drawn, NAMES, 12, 10, 40)
    for row, one in enumerate(shown):
        if one.ratio is None:
            panel.text(1.0, row, f" {SIGNS[one.end]} {one.end}", va="center")
            continue
        won = one.candidate == winner
        colour = COLOURS["pass" if won else "series"]
        panel.plot([one.ratio.low, one.ratio.high], [row, row], color=colour, linewidth=2)
        filled = colour if one.end is End.MEASURED else COLOURS["page"]
        marker = "D" if won else "o"
        panel.plot([one.ratio.value], [row], marker, color=colour, markerfacecolor=filled)
    names = [_name(one, winner) for one in shown]
    panel.set_yticks(range(len(shown)), [label(name, NAMES - 12) for name in names])
    panel.set_ylim(len(shown) - 0.5, -0.5)
    panel.axvline(1.0, color=COLOURS["ink"], linewidth=1, linestyle=(0, (3, 2)))
    panel.grid(axis="x")
    panel.set_axisbelow(True)
    panel.set_xlabel("speed-up over the baseline")


def _name(one: Measured, winner: Candidate | None) -> str:
    return f"{'winner: ' if one.candidate == winner else ''}{named(one.candidate)}"


def history(measured: Sequence[Measured], numbers: Html) -> Chart:
    """The best speed-up after each measurement, and each measurement's own."""
    return Chart(
        key="history",
        title="The search, measurement by measurement",
        finding=f"{len(measured)} measured; the line is the best so far, dots are single programs.",
        numbers=numbers,
        height=200,
        paint=lambda drawn: _steps(drawn, measured),
        width=WIDTH,
    )


def best_so_far(measured: Sequence[Measured]) -> list[float]:
    """1.0 is the baseline; only what was measured to the end can be the best."""
    found, best = [], 1.0
    for one in measured:
        if one.end is End.MEASURED and one.ratio:
            best = max(best, one.ratio.value)
        found.append(best)
    return found


def _steps(drawn: Figure, measured: Sequence[Measured]) -> None:
    panel = axes(drawn, 44, 12, 10, 40)
    at = range(1, len(measured) + 1)
    panel.step(at, best_so_far(measured), where="post", color=COLOURS["series"])
    dots = [(x, one.ratio.value) for x, one in zip(at, measured, strict=True) if one.ratio]
    panel.plot(
        [x for x, _ in dots], [y for _, y in dots], "o", color=COLOURS["quiet"], markersize=3
    )
    panel.locator_params(axis="x", integer=True)
    panel.grid(axis="y")
    panel.set_axisbelow(True)
    panel.set_xlabel("measurements")
