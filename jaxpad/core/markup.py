"""HTML that cannot be broken out of: whatever is not made here is escaped."""

from __future__ import annotations

import html
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from jaxpad.core.results import Verdict
from jaxpad.core.text import one_line, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def safe(content: str) -> Html:
    """`content` as HTML: escaped, unless it is Html."""
    return content if isinstance(content, Html) else Html(html.escape(plain(content)))


def join(parts: Iterable[str]) -> Html:
    """The parts one after the other, each made safe."""
    return Html("".join(map(safe, parts)))


VOID = frozenset({"br", "wbr"})  # elements that cannot be closed


def tag(name: str, *content: str, **attributes: str) -> Html:
    """One element. An attribute may end in `_` where Python keeps the word (`class_`)."""
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{safe(str(value))}"'
        for key, value in attributes.items()
    )
    end = "" if name in VOID else f"</{name}>"
    return Html(f"<{name}{''.join(pairs)}>{join(content)}{end}")


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table whose first column names its row; it scrolls by itself on a narrow page."""
    head = tag("tr", *(tag("th", text, scope="col") for text in heads))
    body = (
        tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in rest))
        for first, *rest in rows
    )
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    # A region that scrolls has to be reachable by keyboard: WCAG 2.1.1.
    return tag("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def section(anchor: str, title: str, *content: str) -> Html:
    """A part of the page under a second-level heading; nothing if it has no content."""
    if not any(content):
        return Html("")
    heading = tag("h2", title, id=anchor)
    return tag("section", heading, *content, aria_labelledby=anchor)


def folded(title: str, *content: str) -> Html:
    """Content that the reader opens; it needs no script."""
    return tag("details", tag("summary", title), *content)


# A verdict as a sign, a word and a tone: the word alone says it all.

# Beside the word, for those who skim.
SIGNS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_APPLICABLE: "-",
}


def badge(verdict: Verdict) -> Html:
    """Sign and word."""
    sign = tag("span", SIGNS[verdict], aria_hidden="true")
    return tag("span", sign, Html("&nbsp;"), verdict.value, class_=f"badge {style(verdict)}")


def style(verdict: Verdict) -> str:
    """The verdict's CSS class."""
    return verdict.name.lower().replace("_", "-")


# A picture as matplotlib writes it, made fit to stand inside report.html.
#
# Colours become the page's own, so that they follow light and dark; ids get the picture's name in
# front, so that several do not clash; what the page does not need is left out. The text is read
# as XML and written anew through `tag`, so nothing in it can break out.

# matplotlib takes colours, no variables: each name of the page's style sheet has a number here
# and is drawn in the colour #0000NN.
_NAMES = (
    "ink",
    "quiet",
    "line",
    "page",
    "card",
    "band",
    "pass",
    "fail",
    "inconclusive",
    "not-applicable",
    "series",
)
COLOURS = {name: f"#0000{number:02x}" for number, name in enumerate(_NAMES, start=1)}
_VARIABLES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}

_DROPPED = frozenset({"metadata", "style", "title"})
_KEPT = ("d", "x", "y", "width", "height", "transform")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_LINES = re.compile(r"M [\dML z.\n-]+")
_POINT = re.compile(r"([MLz])(?: (-?[\d.]+) (-?[\d.]+))?")
_UNTURNED = re.compile(r"rotate\(-?0 [^)]*\)")
_FONT = re.compile(r"(?:(?P<weight>bold|[5-9]00) )?(?P<size>[\d.]+px)")


def inline(text: str, key: str, label: str) -> Html:
    """The SVG document `text` as one element; `label` is what it shows, in words."""
    # matplotlib's own words, in which every text is escaped: no entities but XML's five.
    root = ET.fromstring(text)  # noqa: S314
    wanted = frozenset(_referred(root))
    content = join(part for child in root for part in _element(child, key, wanted))
    return tag(
        "svg",
        content,
        role="img",
        aria_label=label,
        viewBox=root.get("viewBox", ""),
        id=f"chart-{key}",
    )


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _href(element: ET.Element) -> str:
    found = (value for name, value in element.items() if name.rpartition("}")[2] == "href")
    return next(found, "").removeprefix("#")


def _clip(element: ET.Element) -> str:
    return element.get("clip-path", "").removeprefix("url(#").removesuffix(")")


def _referred(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        yield from filter(None, (_href(element), _clip(element)))


def _element(element: ET.Element, key: str, wanted: frozenset[str]) -> Iterator[Html]:
    """The element and what it holds; a group that says nothing of its own is opened up."""
    name = _name(element)
    if name in _DROPPED:
        return
    content = [Html(safe(element.text)) if name in ("text", "tspan") and element.text else ""]
    content += [part for child in element for part in _element(child, key, wanted)]
    attributes = _attributes(element, key, wanted)
    if name == "g" and not attributes:
        yield from (Html(part) for part in content if part)
    elif name != "defs" or any(content):
        yield tag(name, *content, **attributes)


def _attributes(element: ET.Element, key: str, wanted: frozenset[str]) -> dict[str, str]:
    found = {name: _short(element.attrib[name]) for name in _KEPT if name in element.attrib}
    if _UNTURNED.fullmatch(element.get("transform", "")):
        del found["transform"]
    if element.get("id") in wanted:
        found["id"] = f"{key}-{element.get('id')}"
    if href := _href(element):
        found["href"] = f"#{key}-{href}"
    if clip := _clip(element):
        found["clip_path"] = f"url(#{key}-{clip})"
    if style := _svg_style(element.get("style", "")):
        found["style"] = style
    return found


def _short(text: str) -> str:
    """Numbers to a tenth of a pixel, and a path without the words that can be left out."""
    if _LINES.fullmatch(text):
        return _relative(text)
    text = _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), text)
    return re.sub(r"\s*([A-Za-z])\s+", r"\1", text.strip()) if text[:1] == "M" else text


def _relative(path: str) -> str:
    """A path of straight lines as steps from point to point: half as long."""
    found: list[str] = []
    at = start = (0, 0)  # in tenths of a pixel, so that nothing adds up
    for command, x, y in _POINT.findall(path):
        if command == "z":
            found.append("z")
            at = start
            continue
        point = (round(10 * float(x)), round(10 * float(y)))
        step = (f"{(new - old) / 10:g}" for new, old in zip(point, at, strict=True))
        found.append(f"{'m' if command == 'M' else ' '}{' '.join(step)}")
        at = point
        start = point if command == "M" else start
    return "".join(found).replace(" -", "-")


def _svg_style(text: str) -> str:
    parts = (part.partition(":") for part in text.split(";") if ":" in part)
    pairs = (_declared(name.strip(), value.strip()) for name, _, value in parts)
    return ";".join(pair for pair in pairs if pair)


def _declared(name: str, value: str) -> str:
    """One declaration; the font is the page's, of which only size and weight are kept."""
    if name == "font-family":
        return ""
    if name == "font" and (font := _FONT.search(value)):
        weight = f"font-weight:{font['weight']};" if font["weight"] else ""
        return f"{weight}font-size:{font['size']}"
    return f"{name}:{_VARIABLES.get(value, value)}"


# Where pictures are drawn: matplotlib without pyplot, the same bytes for the same data.

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
    with _canvas_style():
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
def _canvas_style() -> Iterator[None]:
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
