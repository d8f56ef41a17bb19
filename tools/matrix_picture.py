"""The matrix as a picture: flags by GPU, coloured by the strongest effect."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jaxpad.effects import DEFAULT, Verdict
from jaxpad.effects.matrix import GPUS, PEERS, Matrix
from tools.matrix_tables import names, of_flag, strongest, values

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
_DEFAULT = ("#EEEEEE", "=", "XLA's own default")
_ROW, _NAME, _FLAG = 0.19, 1.7, 3.6  # inches: a row's height, a name's and a flag's width


def matrix_svg(found: Matrix, *, peers: bool) -> str:
    """The picture as SVG text, the same for the same matrix. Needs matplotlib."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows = _matrix_rows(found, peers)
    height = _ROW * len(rows) + 1.5
    with rc_context({"svg.hashsalt": "jaxpad", "svg.fonttype": "none", "font.size": 7}):
        figure = Figure(figsize=(_NAME + _FLAG + 2.2 * len(found.builds), height))
        left, top = (_NAME + _FLAG) / figure.get_figwidth(), 1 - 0.75 / height
        grid = {"left": left, "right": 0.99, "bottom": 0.65 / height, "top": top, "wspace": 0.06}
        panels = figure.subplots(1, len(found.builds), sharey=True, squeeze=False, gridspec_kw=grid)
        for panel, build in zip(panels[0], found.builds, strict=True):
            _panel(panel, found, rows, build.jaxlib)
        _profiles(panels[0][0], rows)
        _legend(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "invoke docs"})
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def _matrix_rows(found: Matrix, peers: bool) -> list[tuple[str, str, str]]:
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
                same = effect.get("reason") == DEFAULT
                _mark(panel, x, y, _DEFAULT if same else _LOOKS[Verdict(effect["verdict"])])
    panel.set(xlim=(-0.5, len(GPUS) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    panel.set_xticks(range(len(GPUS)), GPUS, rotation=90)
    panel.set_yticks(range(len(rows)), [_label(name, value) for _, name, value in rows])
    panel.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    panel.set_xlabel(f"jaxlib {jaxlib}")
    for y in range(1, len(rows)):
        if rows[y][0] != rows[y - 1][0]:
            panel.axhline(y - 0.5, color="#888888", linewidth=0.6)
    for side in panel.spines.values():
        side.set_visible(False)


def _mark(panel: Any, x: int, y: int, look: tuple[str, str, str]) -> None:
    from matplotlib.patches import Rectangle

    colour, letter, _ = look
    panel.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, color=colour, linewidth=0))
    ink = "white" if letter in "FV" else "black"
    panel.text(x, y, letter, ha="center", va="center", color=ink, fontsize=6)


def _label(name: str, value: str) -> str:
    shown = value if len(value) <= 24 else f"{value[:21]}..."
    return f"{name.removeprefix('xla_gpu_')}={shown}"


def _profiles(panel: Any, rows: Sequence[tuple[str, str, str]]) -> None:
    """The profile's name stands at its first flag, at the far left."""
    for y, (profile, _, _) in enumerate(rows):
        if y == 0 or rows[y - 1][0] != profile:
            panel.annotate(
                profile.removeprefix(f"{PEERS}/"),
                (0, y),
                xycoords=("axes fraction", "data"),
                xytext=(72 * (0.08 - _FLAG - _NAME), 0),
                textcoords="offset points",
                va="center",
                weight="bold",
            )


def _legend(figure: Any) -> None:
    from matplotlib.patches import Patch

    patches = [
        Patch(color=colour, label=f"{letter}  {what}")
        for colour, letter, what in (*_LOOKS.values(), _DEFAULT)
    ]
    figure.legend(handles=patches, loc="lower center", ncols=4, frameon=False)
