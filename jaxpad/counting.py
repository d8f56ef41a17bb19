"""How far a run of many compiles is: a bar on a terminal, and a sentence at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from rich import progress
from rich.console import Console

from jaxpad.effects import NoProgramError, Watcher

INTERRUPTED = 130  # 128 and SIGINT's number, as shells say it


def run(work: Callable[[Progress], int]) -> int:
    """The exit code of `work`: 1 where nothing compiles to hold a flag to, 130 after Ctrl-C."""
    shown = Progress()
    try:
        return work(shown)
    except NoProgramError as error:
        sys.stderr.write(f"jaxpad: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"jaxpad: interrupted; {shown.said()} and kept, run it again to go on\n")
        return INTERRUPTED


@dataclass
class Progress:
    """What was compiled and what was kept; `bar` is shown on a terminal's standard error."""

    bar: progress.Progress = field(init=False)
    total: int = 0
    done: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        console = Console(stderr=True)
        self.bar = progress.Progress(
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def watcher(self) -> Watcher:
        """What tells this of each compile."""
        return Watcher(self._begun, self._finished)

    def said(self) -> str:
        """`3 of 8 programs compiled, 2 cells kept from before`."""
        return f"{self.done} of {self.total} programs compiled, {self.kept} cells kept from before"

    def _begun(self, kept: int, total: int) -> None:
        self.kept, self.total = kept, total
        self._task = self.bar.add_task("", total=total)

    def _finished(self) -> None:
        self.done += 1
        self.bar.advance(self._task)
