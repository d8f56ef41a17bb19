"""The end of a smoke run in a terminal: topics, what is wrong, the verdict, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jaxpad.report._digest import ORDER, Group, Topic, groups, topics
from jaxpad.report._figures import duration, measured
from jaxpad.report._rated import programs, reached
from jaxpad.report._text import encodable, plain
from jaxpad.report._words import computes_on, headline, next_steps
from jaxpad.results import CheckResult, Report
from jaxpad.verdict import Verdict

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.NOT_APPLICABLE: "dim",
}
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
