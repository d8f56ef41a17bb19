"""The end of a smoke run in a terminal: topics, what is wrong, the verdict, what to do next."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich import progress
from rich.console import Console
from rich.text import Text

from jaxpad.core.results import STYLES, CheckResult, Report, Verdict
from jaxpad.core.text import duration, encodable, measured, plain
from jaxpad.report.rates import programs, reached
from jaxpad.report.text import (
    ORDER,
    Group,
    Topic,
    computes_on,
    groups,
    headline,
    next_steps,
    topics,
)

NAMED = 5  # checks of one group told by name; the report has all


def summary(report: Report, console: Console, folder: Path | None = None) -> None:
    """Print what a person needs to know of a finished run; `folder` is where the report lies.

    Wraps at the console's width and cuts nothing off. Colours are the console's to decide.
    """
    printer = Printer(console)
    printer.topics(topics(report))
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        for group in groups(report, verdict):
            printer.wrong(group)
    printer.rates(report)
    printer.verdict(report)
    if folder is not None:
        printer.line(f"Report: {folder / 'report.html'} (as data: smoke.json, junit.xml)")
    printer.next(report)


class Printer:
    """Lines of text on a console, free of markup: a `[red]` in a check's reason is text."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def line(self, text: str = "", style: str = "", indent: int = 0, hang: int = 0) -> None:
        """One paragraph; what does not fit goes on below, `hang` further in."""
        shown = Text(encodable(plain(text), self._console.encoding), style, overflow="fold")
        lines = shown.wrap(self._console, max(20, self._console.width - indent - hang))
        for at, line in enumerate(lines):
            line.rstrip()
            margin = Text(" " * (indent + hang if at else indent))
            self._console.print(margin + line, highlight=False, soft_wrap=True)

    def command(self, text: str, indent: int) -> None:
        """Left to the terminal to wrap, so that it is copied as the one line it is."""
        shown = Text(" " * indent).append(encodable(plain(text), self._console.encoding), "cyan")
        self._console.print(shown, highlight=False, soft_wrap=True)

    def topics(self, found: Iterable[Topic]) -> None:
        found = tuple(found)
        width = max((len(topic.name) for topic in found), default=0)
        for topic in found:
            text = f"{topic.name:<{width}}  {counts(topic.checks)}, {duration(topic.seconds)}"
            self.line(text, STYLES[topic.verdict] if topic.verdict is not Verdict.PASS else "")

    def wrong(self, group: Group) -> None:
        """Checks with the same thing wrong: their names, then reason and remedy once."""
        first = group.first
        self.line()
        for at, check in enumerate(group.checks[:NAMED]):
            label = f"{first.verdict.value}: " if at == 0 else " " * (len(first.verdict.value) + 2)
            self.line(f"{label}{check.id}", STYLES[first.verdict])
        if more := group.checks[NAMED:]:
            self.line(f"and {len(more)} more", indent=2)
        self._told("why", first.reason)
        for found in first.measurements:
            self._told("measured", measured(found))
        self._told("remedy", first.remedy)

    def _told(self, label: str, text: str) -> None:
        if text:
            self.line(f"{label}: {text}", indent=2, hang=2)

    def rates(self, report: Report) -> None:
        """What each program reached, where it is held to something; bounds that were changed."""
        aside = (None, Verdict.NOT_APPLICABLE)  # a CPU's rates are held to nothing
        held = [program for program in programs(report) if program.verdict not in aside]
        width = max((len(program.title) for program in held), default=0)
        if held or report.overrides:
            self.line()
        for program in held:
            verdict = program.verdict or Verdict.INCONCLUSIVE
            style = "" if verdict is Verdict.PASS else STYLES[verdict]
            self.line(f"{program.title:<{width}}  {reached(program)}", style, hang=4)
        for words in report.overrides:
            self.line(f"changed bound: {words}", hang=2)

    def verdict(self, report: Report) -> None:
        self.line()
        self.line(f"{counts(report.checks) or 'no checks'} in {duration(report.seconds)}")
        self.line(computes_on(report))
        self.line(f"{headline(report)}.", f"bold {STYLES[report.verdict]}")

    def next(self, report: Report) -> None:
        """What to do next, each step with its command below it."""
        self.line()
        self.line("What to do next", "bold")
        for at, step in enumerate(next_steps(report), start=1):
            self.line(f"{at}. {step.text}{':' if step.command else ''}", indent=2, hang=3)
            if step.command:
                self.command(step.command, indent=5)


def counts(checks: Iterable[CheckResult]) -> str:
    """`9 pass, 1 fail`: the verdicts that occur."""
    verdicts = [check.verdict for check in checks]
    found = ((verdicts.count(verdict), verdict.value) for verdict in ORDER)
    return ", ".join(f"{count} {word}" for count, word in found if count)


# How far a smoke run has come, while it runs.

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
