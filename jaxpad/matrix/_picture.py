"""The matrix as a picture: flags by GPU, coloured by the strongest effect."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxpad.effects import Verdict
from jaxpad.matrix._model import Matrix
from jaxpad.matrix._plan import GPUS, PEERS
from jaxpad.matrix._summary import names, of_flag, strongest, values

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Told apart by people who see no red or no green (Okabe and Ito's colours), and by the letter.
_LOOKS = {
    Verdict.CHANGES: ("#56B4E9", "C", "changes the program"),
    Verdict.UNDECIDED: ("#F0E442", "U", "undecided without a device"),
    Verdict.RUN_TIME: ("#CC79A7", "R", "run time only"),
    Verdict.NO_EFFECT: ("#EEEEEE", "-", "no effect"),
    Verdict.BREAKS: ("#E69F00", "B", "breaks the compile"),
    Verdict.REJECTED: ("#D55E00", "V", "rejected value"),
    Verdict.FATAL: ("#000000", "F", "fatal"),
}
_ROW, _LABEL = 0.19, 5.6  # inches: a row's height, the names' width


def svg(found: Matrix, *, peers: bool) -> str:
    """The picture as SVG text, the same for the same matrix. Needs matplotlib."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = _rows(found, peers)
    height = _ROW * len(rows) + 1.3
    with rc_context({"svg.hashsalt": "jaxpad", "svg.fonttype": "none", "font.size": 7}):
        figure = Figure(figsize=(_LABEL + 2.2 * len(found.builds), height))
        left, top = _LABEL / figure.get_figwidth(), 1 - 0.75 / height
        grid = {"left": left, "right": 0.99, "bottom": 0.4 / height, "top": top, "wspace": 0.06}
        panels = figure.subplots(1, len(found.builds), sharey=True, squeeze=False, gridspec_kw=grid)
        for panel, build in zip(panels[0], found.builds, strict=True):
            _panel(panel, found, rows, build.jaxlib)
        _legend(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "invoke docs"})
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _rows(found: Matrix, peers: bool) -> list[tuple[str, str, str]]:
    """Profile, flag and value, in the order of the tables."""
    wanted = sorted({row["profile"] for row in found.effects if (PEERS in row["profile"]) == peers})
    rows = []
    for profile in wanted:
        effects = found.effects_of(profile)
        value = values(effects)
        rows += [(profile, name, value[name]) for name in names(effects)]
    return rows


def _panel(panel: Axes, found: Matrix, rows: Sequence[tuple[str, str, str]], jaxlib: str) -> None:
    for y, (profile, name, _) in enumerate(rows):
        effects = found.effects_of(profile, jaxlib)
        for x, gpu in enumerate(GPUS):
            effect = strongest(of_flag(effects, name, gpu=gpu))
            if effect:
                _mark(panel, x, y, Verdict(effect["verdict"]))
    panel.set(xlim=(-0.5, len(GPUS) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    panel.set_xticks(range(len(GPUS)), GPUS, rotation=90)
    panel.set_yticks(range(len(rows)), [_label(rows, y) for y in range(len(rows))])
    panel.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    panel.set_xlabel(f"jaxlib {jaxlib}")
    for y in range(1, len(rows)):
        if rows[y][0] != rows[y - 1][0]:
            panel.axhline(y - 0.5, color="#888888", linewidth=0.6)
    for side in panel.spines.values():
        side.set_visible(False)


def _mark(panel: Any, x: int, y: int, verdict: Verdict) -> None:
    from matplotlib.patches import Rectangle

    colour, letter, _ = _LOOKS[verdict]
    panel.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, color=colour, linewidth=0))
    ink = "white" if verdict in (Verdict.FATAL, Verdict.REJECTED) else "black"
    panel.text(x, y, letter, ha="center", va="center", color=ink, fontsize=6)


def _label(rows: Sequence[tuple[str, str, str]], y: int) -> str:
    """The profile's name stands at its first flag."""
    profile, name, value = rows[y]
    first = y == 0 or rows[y - 1][0] != profile
    head = f"{profile.removeprefix(f'{PEERS}/')}:  " if first else ""
    shown = value if len(value) <= 24 else f"{value[:21]}..."
    return f"{head}{name.removeprefix('xla_gpu_')}={shown}"


def _legend(figure: Any) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=colour, label=f"{letter}  {what}") for colour, letter, what in _LOOKS.values()
    ]
    figure.legend(handles=patches, loc="lower center", ncols=len(patches), frameon=False)
