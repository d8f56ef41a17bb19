"""The picture of how jaxpad is built, drawn from the rows below: docs/images/architecture.svg."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

# Row by row, a module imports from its own row and those above; tests/test_layers.py holds all
# modules to it. Name, what it knows, the packages a reader meets first.
ROWS = (
    ("ground", "plain data", ("verdict", "profiles", "gpus", "bounds")),
    ("adapters", "one outside system each", ("flags", "nvml", "workloads", "host")),
    ("readers", "what a system says", ("devices", "aot", "schedule", "platforms")),
    ("judges", "is it good?", ("throughput", "gates", "effects", "runner", "engines", "health")),
    ("answers", "what users ask for", ("report", "matrix", "fleet", "tune")),
    ("thin", "the command line", ("smoke", "explain", "doctor", "build", "launch")),
)
PLACES = ("this machine", "docker, podman", "Apptainer", "Slurm", "Kubernetes")
INTO = "configs/: profiles, GPUs, clusters"
OUT = "smoke.json, report.html, junit.xml, fleet.html"
TITLE = "How jaxpad is built, and where it runs"
DESCRIPTION = (
    "Configs feed six rows of modules, of which each imports only from those above it: "
    + ", ".join(name for name, _, _ in ROWS)
    + f". The smoke suite runs on {', '.join(PLACES)}, and leaves {OUT}."
)
WIDTH, ROW, GAP, LEFT, TOP = 860, 44, 8, 190, 70
# Its own paper, so that it reads alike on a light and on a dark page: ink on it is 7 to 1 or more.
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#17202a}.head{font-weight:600}"
    ".note{font-size:12px;fill:#3c4a57}.mono{font:12.5px ui-monospace,monospace}"
    ".paper{fill:#f6f8fa}.row{fill:#fff;stroke:#8796a5}.part{fill:#d9efec;stroke:#0a5c55}"
    ".place{fill:#e4e8f7;stroke:#38489b}.line{stroke:#3c4a57;stroke-width:1.5;fill:none}"
)


def svg() -> str:
    """The picture, the same bytes on every machine."""
    below = TOP + len(ROWS) * (ROW + GAP)
    height = below + 158
    body = [*_head(), *_rows(), *_places(below + 42), *_end(below + 110)]
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
                f'width="{WIDTH}" height="{height}" role="img" aria-labelledby="title desc">'
            ),
            f'<title id="title">{escape(TITLE)}</title>',
            f'<desc id="desc">{escape(DESCRIPTION)}</desc>',
            f"<style>{STYLE}</style>",
            (
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
                'markerHeight="8" orient="auto">'
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


def _rows() -> Iterator[str]:
    for at, (name, knows, parts) in enumerate(ROWS):
        y = TOP + at * (ROW + GAP)
        yield _box("row", 20, y, WIDTH - 40, ROW)
        yield _text(34, y + 19, name, "head")
        yield _text(34, y + 35, knows, "note")
        yield from _boxes("part", parts, LEFT, y + 8, WIDTH - 28 - LEFT)


def _places(y: float) -> Iterator[str]:
    yield _arrow(WIDTH / 2, y - 48, y - 2)
    yield _text(34, y + 19, "smoke suite", "head")
    yield _text(34, y + 35, "the same files everywhere", "note")
    yield from _boxes("place", PLACES, LEFT, y + 8, WIDTH - 28 - LEFT)


def _end(y: float) -> Iterator[str]:
    yield _arrow(WIDTH / 2, y - 30, y - 2)
    yield _box("row", 20, y, WIDTH - 40, 32)
    yield _text(WIDTH / 2, y + 21, OUT, "mono", "middle")


def _boxes(kind: str, words: tuple[str, ...], x: float, y: float, width: float) -> Iterator[str]:
    each = (width - GAP * (len(words) - 1)) / len(words)
    for at, word in enumerate(words):
        left = x + at * (each + GAP)
        yield _box(kind, left, y, each, 28)
        yield _text(left + each / 2, y + 19, word, "mono", "middle")


def _box(kind: str, x: float, y: float, width: float, height: float) -> str:
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect class="{kind}" {place} rx="5"/>'


def _text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def _arrow(x: float, start: float, stop: float) -> str:
    return f'<path class="line" d="M{x:g} {start:g}V{stop:g}" marker-end="url(#tip)"/>'
