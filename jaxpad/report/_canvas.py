"""Where pictures are drawn: matplotlib without pyplot, the same bytes for the same data."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jaxpad.report._figures import one_line
from jaxpad.report._svg import COLOURS, inline
from jaxpad.report._tags import Html, folded, join, tag
from jaxpad.report._text import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 360.0  # of most pictures, in CSS pixels: legible on a phone, two in a row on a desktop
TEXT = 9.0  # pixels
_PER_INCH = 72  # matplotlib's SVG has 72 units an inch
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_LACKING = (
    "Pictures are drawn with matplotlib, which does not import in this Python; "
    "the tables have all of the numbers."
)


@dataclass(frozen=True)
class Chart:
    """One picture, what it shows in words, and its numbers."""

    key: str  # unique in the page
    title: str
    finding: str  # what a reader should see in it
    numbers: Html  # a table
    height: float  # CSS pixels
    paint: Callable[[Figure], None]
    width: float = WIDTH


def figure(chart: Chart, *, pictures: bool, beside: bool = False) -> Html:
    """The chart with its numbers folded below or open `beside` it, or the numbers alone."""
    picture = _picture(chart) if pictures and lacking() is None else None
    fold = picture is not None and not beside
    numbers = folded(f"Numbers: {chart.title}", chart.numbers) if fold else chart.numbers
    heading = tag("figcaption", tag("b", chart.title), tag("span", chart.finding))
    style = "chart beside" if beside and picture else "chart"
    return tag("figure", heading, picture or "", numbers, class_=style)


def _picture(chart: Chart) -> Html:
    """A picture that cannot be drawn must not cost the report."""
    try:
        return _svg(chart)
    except Exception as error:
        return tag("p", f"Not drawn: {type(error).__name__}: {error}", class_="why")


def _svg(chart: Chart) -> Html:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    text = io.StringIO()
    with _style():
        drawn = Figure(figsize=(chart.width / _PER_INCH, chart.height / _PER_INCH))
        chart.paint(drawn)
        FigureCanvasSVG(drawn)  # savefig would look for another
        drawn.savefig(text, format="svg", metadata=_NO_METADATA)
    return inline(text.getvalue(), chart.key, f"{chart.title}. {chart.finding}")


@cache
def lacking() -> str | None:
    """Why there can be no pictures here, as a sentence; None where there can."""
    # Where HOME cannot be written it would tell of its cache on stderr, among a run's own lines.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib.figure  # noqa: F401
    except Exception:  # an extension built for another numpy raises more than ImportError
        return _LACKING
    return None


@contextmanager
def _style() -> Iterator[None]:
    """The defaults of matplotlib and ours, whatever the user's matplotlibrc says."""
    from matplotlib import rc_context

    # A glyph that the font lacks is the browser's to find: only its width is guessed here.
    with warnings.catch_warnings(), rc_context(_parameters()):
        warnings.simplefilter("ignore")
        yield


@cache
def _parameters() -> Any:
    from matplotlib import rcParamsDefault

    ink, quiet, line = COLOURS["ink"], COLOURS["quiet"], COLOURS["line"]
    ours = {
        "svg.hashsalt": "jaxpad",  # else ids are random
        "svg.fonttype": "none",
        "text.parse_math": False,  # a GPU's name with two dollars is no formula
        "font.size": TEXT,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": line,
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "figure.edgecolor": "none",
        "xtick.labelcolor": quiet,
        "ytick.labelcolor": ink,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        **{f"{axis}tick.{which}.size": 0 for axis in "xy" for which in ("major", "minor")},
    }
    groups = ("svg", "text", "font", "axes", "figure", "xtick", "ytick", "grid", "lines", "path")
    usual = {key: rcParamsDefault[key] for key in rcParamsDefault if key.split(".")[0] in groups}
    return usual | ours


def axes(drawn: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with margins in CSS pixels."""
    width, height = (_PER_INCH * inches for inches in drawn.get_size_inches())
    box = (
        left / width,
        bottom / height,
        1 - (left + right) / width,
        1 - (top + bottom) / height,
    )
    return drawn.add_axes(box)


def label(text: str, most: float, size: float = TEXT) -> str:
    """Text from elsewhere as a label: one line of what can be shown, cut to `most` pixels."""
    clean = one_line(plain(text))[: int(most)]
    if text_width(clean, size) <= most:
        return clean
    while clean and text_width(f"{clean}…", size) > most:
        clean = clean[:-1]
    return f"{clean}…"


def text_width(text: str, size: float = TEXT) -> float:
    """CSS pixels, in the widest of the fonts that a browser may take."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(size=size), False)
    return float(width)


def grid(charts: list[Html]) -> Html:
    """Charts beside each other, as many as fit."""
    return tag("div", join(charts), class_="charts") if charts else Html("")
