"""The picture of how jaxpad is built, drawn from its imports: docs/images/architecture.svg."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import fmean

from jaxpad.core.paths import HOME
from tools import figures

PLACES = ("this machine", "docker, podman", "Apptainer", "Slurm", "Kubernetes")
INTO = "configs/: profiles, GPUs, clusters"
OUT = "smoke.json, report.html, junit.xml, fleet.html"
TITLE = "How jaxpad is built, and where it runs"
WIDTH, BOX, HEIGHT, STEP, TOP = 860, 104, 28, 58, 74
# Its own paper, so that it reads alike on a light and on a dark page: ink on it is 7 to 1 or more.
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#17202a}.head{font-weight:600}"
    ".note{font-size:12px;fill:#3c4a57}.mono{font:12.5px ui-monospace,monospace}"
    ".paper{fill:#f6f8fa}.row{fill:#fff;stroke:#8796a5}.part{fill:#d9efec;stroke:#0a5c55}"
    ".place{fill:#e4e8f7;stroke:#38489b}.line{stroke:#3c4a57;stroke-width:1.5;fill:none}"
    ".import{stroke:#6b7a89;stroke-width:1.2;fill:none}"
)


def folders(home: Path = HOME) -> figures.Arrows:
    """The package's folders and which others each imports, by the code of a checkout."""
    files = figures.modules(home)
    return figures.folder_arrows(figures.arrows(files), files)


def description(rows: Sequence[Sequence[str]]) -> str:
    """What the picture shows, for who cannot see it."""
    told = "; ".join(", ".join(row) for row in rows)
    return (
        f"Configs feed the package's folders, {len(rows)} rows of which each imports only from "
        f"those above it: {told}. The smoke suite runs on {', '.join(PLACES)}, and leaves {OUT}."
    )


def svg(between: figures.Arrows | None = None) -> str:
    """The picture, the same bytes on every machine; by default of this checkout."""
    between = folders() if between is None else between
    rows = figures.rows(between)
    below = TOP + len(rows) * STEP
    body = [*_head(), *_package(rows, between), *_places(below + 8), *_end(below + 76)]
    height = below + 124
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">'
            ),
            f'<title id="title">{escape(TITLE)}</title>',
            f'<desc id="desc">{escape(description(rows))}</desc>',
            f"<style>{STYLE}</style>",
            (
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
                'markerHeight="7" orient="auto">'
                '<path d="M0 0 8 4 0 8z" fill="#3c4a57"/></marker></defs>'
            ),
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="8"/>',
            *body,
            "</svg>\n",
        ]
    )


def _head() -> Iterator[str]:
    yield _box("place", 20, 16, WIDTH - 40, 32)
    yield _text(WIDTH / 2, 37, INTO, "mono", "middle")
    yield _arrow(WIDTH / 2, 48, TOP - 2)


def _package(rows: Sequence[Sequence[str]], between: figures.Arrows) -> Iterator[str]:
    """The arrows first, so that the boxes stand before them."""
    at = _at(rows, between)
    for name, others in figures.reduced(between).items():
        for other in sorted(others):
            yield _import(at[name], at[other])
    for name, (x, y) in at.items():
        yield _box("part", x - BOX / 2, y, BOX, HEIGHT)
        yield _text(x, y + 19, name, "mono", "middle")


def _at(rows: Sequence[Sequence[str]], between: figures.Arrows) -> dict[str, tuple[float, float]]:
    """The middle of each box's upper edge, below the folders that it imports if there is room."""
    at: dict[str, tuple[float, float]] = {}
    near = figures.reduced(between)
    for row, names in enumerate(rows):
        wish = {name: _wish(near[name], at) for name in names}
        room = (WIDTH - 40) / len(names)
        for place, name in enumerate(sorted(names, key=lambda name: (wish[name], name))):
            at[name] = (20 + room * (place + 0.5), TOP + row * STEP)
    return at


def _wish(others: frozenset[str], at: Mapping[str, tuple[float, float]]) -> float:
    return fmean(at[other][0] for other in others) if others else WIDTH / 2


def _import(low: tuple[float, float], high: tuple[float, float]) -> str:
    (x, y), (to, top) = low, (high[0], high[1] + HEIGHT)
    bend = (y - top) / 2
    path = f"M{x:g} {y:g}C{x:g} {y - bend:g} {to:g} {top + bend:g} {to:g} {top + 2:g}"
    return f'<path class="import" d="{path}" marker-end="url(#tip)"/>'


def _places(y: float) -> Iterator[str]:
    left, gap = 206, 8
    yield _arrow(WIDTH / 2, y - 26, y + 6)
    yield _text(34, y + 19, "smoke suite", "head")
    yield _text(34, y + 35, "the same files everywhere", "note")
    each = (WIDTH - 28 - left - gap * (len(PLACES) - 1)) / len(PLACES)
    for at, word in enumerate(PLACES):
        x = left + at * (each + gap)
        yield _box("place", x, y + 8, each, HEIGHT)
        yield _text(x + each / 2, y + 27, word, "mono", "middle")


def _end(y: float) -> Iterator[str]:
    yield _arrow(WIDTH / 2, y - 30, y - 2)
    yield _box("row", 20, y, WIDTH - 40, 32)
    yield _text(WIDTH / 2, y + 21, OUT, "mono", "middle")


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect class="{kind}" {place} rx="5"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def _arrow(x: float, start: float, stop: float) -> str:
    return f'<path class="line" d="M{x:g} {start:g}V{stop:g}" marker-end="url(#tip)"/>'
