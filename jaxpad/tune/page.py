"""tune.html: what a tuning run found, one file that opens offline and needs no script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from jaxpad.core.markup import (
    COLOURS,
    Chart,
    Html,
    axes,
    figure,
    folded,
    join,
    label,
    safe,
    section,
    table,
    tag,
)
from jaxpad.core.text import duration, plural
from jaxpad.tune.model import Candidate, Compiled, End, Fate, Measured, Ratio, Tuned
from jaxpad.tune.searching import counting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Two pictures: every program against the baseline, and the best one as the search went on.

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


MOST_FOLDED = 200  # candidates told one by one


def headline(found: Tuned) -> str:
    """The result as one sentence."""
    for one in found.confirmed:
        if one.candidate == found.winner and one.ratio:
            return f"{percent(one.ratio)} faster than the baseline, confirmed"
    if not found.measured:
        return "Compiled, nothing was measured"
    return "Nothing beats the baseline"


def percent(ratio: Ratio) -> str:
    """`8.3 %`: how much more steps a second."""
    return f"{100 * (ratio.value - 1):.1f} %"


def interval(one: Measured) -> str:
    """`1.083 (1.071 to 1.094)`."""
    if one.ratio is None:
        return "none"
    return f"{one.ratio.value:.3f} ({one.ratio.low:.3f} to {one.ratio.high:.3f})"


def to_html(found: Tuned, *, pictures: bool = True) -> str:
    """The whole page. Pictures need matplotlib; without it the page has their numbers."""
    return _template().substitute(
        title=safe(f"{headline(found)} - jaxpad profile.tune"),
        style=_read("jaxpad.report", "report.css") + _read("jaxpad.fleet", "fleet.css"),
        header=_header(found),
        body=join(filter(None, _parts(found, pictures))),
        footer=tag("p", "Made by jaxpad profile.tune. The same as data: tune.json."),
    )


def _parts(found: Tuned, pictures: bool) -> Iterable[Html]:
    yield _winner(found)
    yield _confirmed(found)
    if found.measured:
        numbers = table(
            "Every distinct program, fastest first", HEADS, map(_row(found), ranked(found.measured))
        )
        chart = forest(found.measured, found.winner, numbers)
        yield section("programs", "Every distinct program", figure(chart, pictures=pictures))
        yield _history(found, pictures)
    yield _compiled(found.compiled)
    yield _time(found)
    about = table("What it was run on", ("What", "Value"), found.about.items())
    yield section("about", "What it was run on", about)


def _header(found: Tuned) -> Html:
    facts = [
        plural(len(found.compiled), "candidate"),
        plural(len({one.digest for one in found.compiled if one.digest}), "distinct program"),
        f"{len(found.measured)} measured",
        f"{len(found.confirmed)} confirmed afresh",
    ]
    return tag(
        "header",
        tag("p", "jaxpad profile.tune", class_="kind"),
        tag("h1", headline(found)),
        tag("ul", *(tag("li", fact) for fact in facts), class_="facts"),
        class_="pass" if found.winner else "not-applicable",
    )


def _winner(found: Tuned) -> Html:
    if found.winner is None:
        why = "No program was measured again afresh with its whole interval above 1.0."
        return section("winner", "No profile was written", tag("p", why))
    words = "\n".join(found.winner.words)
    lines = tag("pre", words, class_="lines", tabindex="0", role="region", aria_label="Flags")
    return section("winner", "The winner's flags", lines)


def _confirmed(found: Tuned) -> Html:
    if not found.confirmed:
        return Html("")
    heads = ("Program", "Speed-up (interval)", "Pairs", "Result")
    rows = (
        (
            tag("code", named(one.candidate)),
            interval(one),
            f"{len(counting(one.pairs))} of {len(one.pairs)}",
            _judged(one),
        )
        for one in found.confirmed
    )
    said = "New processes several times, other inputs each time, never stopped early."
    shown = table("Measured again afresh", heads, rows)
    return section("confirmed", "The confirmation", tag("p", said), shown)


def _judged(one: Measured) -> str:
    if one.end is not End.MEASURED:
        return f"{SIGNS[one.end]} {one.end}{': ' + one.reason if one.reason else ''}"
    faster = one.ratio is not None and one.ratio.faster
    return "✓ faster" if faster else "- not faster: the interval reaches 1.0"


HEADS = ("Program", "Speed-up (interval)", "How it ended", "Pairs that count", "Start-up")


def _row(found: Tuned) -> Callable[[Measured], tuple[str, ...]]:
    def row(one: Measured) -> tuple[str, ...]:
        """The cells of one program, as HEADS names them."""
        won = " (winner)" if one.candidate == found.winner else ""
        why = f": {one.reason}" if one.reason else ""
        return (
            join([tag("code", named(one.candidate)), won]),
            interval(one),
            f"{SIGNS[one.end]} {one.end}{why}",
            f"{len(counting(one.pairs))} of {len(one.pairs)}",
            duration(one.startup),
        )

    return row


def _history(found: Tuned, pictures: bool) -> Html:
    rows = (
        (str(at), named(one.candidate), interval(one), f"{best:.3f}")
        for at, (one, best) in enumerate(
            zip(found.measured, best_so_far(found.measured), strict=True), start=1
        )
    )
    heads = ("Measurement", "Program", "Speed-up (interval)", "Best so far")
    numbers = table("In the order they were measured", heads, rows)
    chart = history(found.measured, numbers)
    return section("history", "The search", figure(chart, pictures=pictures))


def _compiled(compiled: tuple[Compiled, ...]) -> Html:
    """What was folded together, and what was dropped and why."""
    same: dict[str, list[Compiled]] = {}
    for one in compiled:
        if one.digest:
            same.setdefault(one.digest, []).append(one)
    groups = [group for group in same.values() if len(group) > 1]
    together = [
        (
            tag("code", group[0].digest[:12]),
            str(len(group)),
            "; ".join(named(one.candidate) for one in group[:5]) + ("; …" if group[5:] else ""),
        )
        for group in groups[:MOST_FOLDED]
    ]
    dropped = [
        (named(one.candidate), str(one.fate), one.reason)
        for one in compiled
        if one.fate is not Fate.COMPILES
    ][:MOST_FOLDED]
    parts = [
        folded(f"{caption} ({len(rows)})", table(caption, heads, rows))
        for caption, heads, rows in (
            ("Flags that make the same program", ("Program", "Candidates", "Flags"), together),
            ("Dropped before anything was measured", ("Candidate", "Fate", "Why"), dropped),
        )
        if rows
    ]
    return section("compiled", "What was not measured", *parts)


def _time(found: Tuned) -> Html:
    whole = sum(found.seconds.values())
    if not whole:
        return Html("")
    rows = (
        (part, duration(seconds), f"{seconds / whole:.1%}")
        for part, seconds in found.seconds.items()
    )
    shown = table("Wall time by part", ("Part", "Time", "Share"), rows)
    return section("time", "Where the time went", shown)


@cache
def _template() -> Template:
    return Template(_read("jaxpad.fleet", "fleet.html.template"))


@cache
def _read(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")
