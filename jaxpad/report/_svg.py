"""A picture as matplotlib writes it, made fit to stand inside report.html.

Colours become the page's own, so that they follow light and dark; ids get the picture's name in
front, so that several do not clash; what the page does not need is left out. The text is read
as XML and written anew through `tag`, so nothing in it can break out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from jaxpad.report._tags import Html, join, safe, tag

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
    if style := _style(element.get("style", "")):
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


def _style(text: str) -> str:
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
