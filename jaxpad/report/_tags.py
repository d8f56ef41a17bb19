"""HTML that cannot be broken out of: whatever is not made here is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from jaxpad.report._text import plain


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
