"""The built docs site, read: its pages, their anchors and their links."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ASKS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


@dataclass
class Read(HTMLParser):
    """What one page has to jump to, where it leads, and what it loads."""

    anchors: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {value for name, value in attrs if name in ("id", "name") and value}
        if tag == "a" and given.get("href") is not None:
            self.links.append(str(given["href"]))
        if tag in ASKS and given.get(ASKS[tag]):
            self.loads.append(str(given[ASKS[tag]]))


def read(root: Path) -> dict[Path, Read]:
    """Every page of the site in `root` but the theme's 404, whose links are absolute."""
    pages = {}
    for file in sorted(root.rglob("*.html")):
        if file.name != "404.html":
            pages[file] = Read()
            pages[file].feed(file.read_text())
    return pages


def target(page: Path, link: str) -> Path:
    """The file that a relative link of a page leads to."""
    path = (page.parent / unquote(urlsplit(link).path)).resolve() if urlsplit(link).path else page
    return path / "index.html" if path.is_dir() else path


def fault(pages: dict[Path, Read], page: Path, link: str) -> str:
    """Why a link is dead, or nothing."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        well = parts.scheme == "https" and "." in (parts.hostname or "") and " " not in link
        return "" if well else "it is no https address"
    file = target(page, link)
    if not file.is_file():
        return "there is no such page"
    known = (
        file not in pages or not parts.fragment or unquote(parts.fragment) in pages[file].anchors
    )
    return "" if known else "there is no such place on the page"
