"""A fleet in a terminal: what is wrong, the verdict, what to do next, the lines that drain."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from jaxpad.fleet._drain import line
from jaxpad.fleet._far import far
from jaxpad.fleet._model import Fleet, Problem
from jaxpad.fleet._names import quoted
from jaxpad.fleet._words import differs, headline, on, steps, told
from jaxpad.report._terminal import STYLES, Printer
from jaxpad.verdict import Verdict

MOST = 10  # of anything; the page has more, fleet.json all
MOST_LINES = 100


def summary(found: Fleet, console: Console, scheduler: str, folder: Path | None = None) -> None:
    """Print what an admin needs to know; `folder` is where the report lies."""
    printer = Printer(console)
    for problem in found.problems[:MOST]:
        _problem(printer, problem)
    _more(printer, len(found.problems), "problem")
    for aside in found.set_aside[:MOST]:
        printer.line(f"set aside: {quoted(aside.folder)}: {aside.why}", hang=2)
    _more(printer, len(found.set_aside), "folder set aside")
    _beside(printer, found)
    printer.line()
    printer.line(f"{headline(found)}.", f"bold {STYLES[found.verdict]}")
    if folder is not None:
        printer.line(f"Report: {folder / 'fleet.html'} (as data: fleet.json)")
    _next(printer, found, scheduler)


def _problem(printer: Printer, problem: Problem) -> None:
    whose = "the fleet's own" if problem.shared else told(problem.nodes, 60)
    printer.line(f"{problem.verdict}: {problem.check}", STYLES[problem.verdict])
    printer.line(f"on {on(problem)}: {whose}", indent=2, hang=2)
    for label, text in (("why", problem.reason), ("remedy", problem.remedy)):
        if text:
            printer.line(f"{label}: {text}", indent=2, hang=2)


def _beside(printer: Printer, found: Fleet) -> None:
    """Who is far from its peers, and what differs."""
    places = far(found.outliers)
    for each in places[:MOST]:
        style = STYLES[Verdict.INCONCLUSIVE] if each.slow else ""
        printer.line(f"{each.where} {each.words}", style, hang=2)
    _more(printer, len(places), "far from their peers")
    for drift in found.drift[:MOST]:
        printer.line(f"differs: {differs(drift)}", hang=2)
    _more(printer, len(found.drift), "difference")


def _more(printer: Printer, count: int, noun: str) -> None:
    if count > MOST:
        printer.line(f"and {count - MOST:,} more: {noun}")


def _next(printer: Printer, found: Fleet, scheduler: str) -> None:
    printer.line()
    printer.line("What to do next", "bold")
    for at, step in enumerate(steps(found), start=1):
        printer.line(f"{at}. {step.text}", indent=2, hang=3)
    if found.to_drain:
        printer.line()
        printer.line("To drain, each a line to paste; nothing was run", "bold")
    for node in found.to_drain[:MOST_LINES]:
        printer.command(line(node, scheduler), indent=2)
    if len(found.to_drain) > MOST_LINES:
        printer.line(f"and {len(found.to_drain) - MOST_LINES:,} more, in fleet.json: .drain[]")
