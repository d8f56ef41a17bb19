"""A tuning run for people: a bar while it lasts, and a table of the programs at the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from rich import progress
from rich.console import Console
from rich.table import Table

from jaxpad import tune

ROWS = 12  # programs in the table, the fastest first


@dataclass
class Shown:
    """How far a run is; `bar` is shown on a terminal's standard error."""

    bar: progress.Progress = field(init=False)

    def __post_init__(self) -> None:
        console = Console(stderr=True)
        self.bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._compiling = self.bar.add_task("compiling", total=None)
        self._measuring = self.bar.add_task("measuring", total=None, visible=False)

    def watcher(self) -> tune.Watcher:
        """What tells this how far the run is."""
        compiling = tune.CompileWatcher(self._begun, self._finished)
        return tune.Watcher(compiling, self._compiled, self._measured)

    def _begun(self, total: int) -> None:
        self.bar.update(self._compiling, total=total)

    def _finished(self) -> None:
        self.bar.advance(self._compiling)

    def _compiled(self, summary: str) -> None:
        self.bar.update(self._compiling, visible=False)
        sys.stderr.write(f"{summary}\n")

    def _measured(self, done: int, of: int) -> None:
        self.bar.update(self._measuring, completed=done, total=of, visible=True)


def table(tuned: tune.Tuned, profile: str) -> None:
    """Print every program that was measured, or which candidates are one program.

    `profile` is the file that the winner is in, "" where nothing was to be written.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not tuned.measured:
        _folded(tuned, console)
    else:
        _measured(tuned, console)
    if profile:
        console.print(verdict(tuned, profile))


def verdict(tuned: tune.Tuned, profile: str) -> str:
    """The run's answer in one sentence."""
    winner = next((one for one in tuned.confirmed if one.candidate == tuned.winner), None)
    if winner is None or winner.ratio is None:
        return f"Nothing beats {tuned.about['baseline'] or 'the default'}: no profile is written."
    said = f"{winner.ratio.value:.3f} ({winner.ratio.low:.3f} to {winner.ratio.high:.3f})"
    return f"Confirmed at {said} times as fast: {' '.join(winner.candidate.words)}\n{profile}"


def _measured(tuned: tune.Tuned, console: Console) -> None:
    shown = Table("speed-up", "interval", "ended", "flags", box=None, pad_edge=False)
    order = sorted(tuned.measured, key=lambda one: -(one.ratio.value if one.ratio else 0))
    for one in order[:ROWS]:
        ratio = one.ratio
        value = f"{ratio.value:.3f}" if ratio else "-"
        interval = f"{ratio.low:.3f} to {ratio.high:.3f}" if ratio else one.reason
        shown.add_row(value, interval, str(one.end), " ".join(one.candidate.words))
    console.print(shown)
    if len(order) > ROWS:
        console.print(f"and {len(order) - ROWS} more programs, in {tune.JSON_FILE}")


def _folded(tuned: tune.Tuned, console: Console) -> None:
    programs: dict[str, list[tune.Compiled]] = {}
    for one in tuned.compiled:
        if one.digest:
            programs.setdefault(one.digest, []).append(one)
    shown = Table("candidates", "fewest flags that make the program", box=None, pad_edge=False)
    for digest, same in programs.items():
        words = " ".join(same[0].candidate.words) or "(none: the baseline)"
        shown.add_row(str(len(same)), f"{digest[:12]} {words}")
    console.print(shown)
    for one in tuned.compiled:
        if not one.digest and len(one.candidate.flags) == 1:
            console.print(f"{one.fate}: {one.candidate.words[0]}: {one.reason}")
