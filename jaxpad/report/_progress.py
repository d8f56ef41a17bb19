"""How far a smoke run has come, while it runs."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console
from rich.text import Text

from jaxpad.report._digest import Topic
from jaxpad.report._figures import duration
from jaxpad.report._terminal import STYLES, counts
from jaxpad.report._text import encodable, plain
from jaxpad.results import CheckResult
from jaxpad.verdict import Verdict

TOLD = (Verdict.FAIL, Verdict.INCONCLUSIVE)


class Progress:
    """A bar on a terminal that can draw one; elsewhere a line for each finished file.

    ```
    with Progress(total=63, console=Console(stderr=True)) as p:
        p.started("test_jit.py::test_new_shape_recompiles")
        p.finished(result)
    ```
    """

    def __init__(self, total: int, console: Console) -> None:
        self._console = console
        self._bar = _bar(console) if _draws(console) else None
        self._task = self._bar.add_task("starting", total=total) if self._bar else None
        self._file: list[CheckResult] = []
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_file()
        if self._bar:
            self._bar.stop()

    def started(self, check: str) -> None:
        """`check`, as `file::name`, has begun."""
        if self._file and not check.startswith(f"{self._file[-1].file}::"):
            self._end_file()
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=plain(check))

    def finished(self, result: CheckResult) -> None:
        """A check has its answer."""
        self.started(result.id)
        self._file.append(result)
        if self._bar and self._task is not None:
            self._bar.advance(self._task)
            if result.verdict in TOLD:
                self._say(f"{result.verdict}: {result.id}", STYLES[result.verdict])

    def _end_file(self) -> None:
        """A file is over when a check of another one begins, or the run ends."""
        if self._file and not self._bar:
            topic = Topic(self._file[0].file, tuple(self._file))
            self._say(f"{topic.file}: {counts(topic.checks)}, {duration(self._elapsed())}")
        self._file, self._since = [], time.monotonic()

    def _elapsed(self) -> float:
        return time.monotonic() - self._since

    def _say(self, text: str, style: str = "") -> None:
        shown = Text(encodable(plain(text), self._console.encoding), style)
        self._console.print(shown, highlight=False, soft_wrap=True)


def _draws(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


def _bar(console: Console) -> progress.Progress:
    return progress.Progress(
        progress.BarColumn(bar_width=24),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
