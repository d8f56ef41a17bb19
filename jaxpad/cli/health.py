"""The `health` command: options in, a table, JSON, a line for Nagios or a textfile out."""

from __future__ import annotations

import dataclasses
import json as json_
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jaxpad import health
from jaxpad.commands.machine import HealthOptions
from jaxpad.core.results import STYLES, UsageError, Verdict
from jaxpad.core.text import columns, encodable, plain
from jaxpad.health import Finding, Health
from jaxpad.report.redaction import rule

if TYPE_CHECKING:
    from rich.console import Console

WORDS = {
    Verdict.PASS: "healthy, as far as can be seen without load",
    Verdict.FAIL: "not fit to compute on: what to do is below",
    Verdict.INCONCLUSIVE: "nothing failed, but not all could be found out",
    Verdict.NOT_APPLICABLE: "this machine shows no NVIDIA GPU",
}


def health_command(options: HealthOptions, **look: Any) -> int:
    """Check this node and return the exit code; with `nagios`, Nagios's own.

    `look` goes to `health.check`: tests look at a machine of their own.

    Raises UsageError for a mistake in the options, except with `nagios`, which says
    UNKNOWN instead, as it does for a bug of ours.
    """
    if options.hook:
        return _hook(options, **look)
    if options.drain:
        raise UsageError("--drain is for --hook healthcheck")
    if not options.nagios:
        return _run(options, **look)
    try:
        return _run(options, **look)
    except Exception as error:
        why = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
        return unknown(why)


def unknown(why: str) -> int:
    """What Nagios reads where nothing could be checked; its code."""
    sys.stdout.write(f"{_fit(health.unknown(_rule()(why)))}\n")
    return health.UNKNOWN


def _hook(options: HealthOptions, **look: Any) -> int:
    """As Slurm calls it; a mistake in the options fails no hook, which would drain all nodes."""
    from jaxpad.cli import health_hook  # here: it brings what talks to Slurm

    return health_hook.health_hook(
        options.hook,
        thresholds=options.thresholds,
        expect=options.expect,
        drain=options.drain,
        **look,
    )


def _run(options: HealthOptions, **look: Any) -> int:
    if options.nagios and options.json:
        raise UsageError("--nagios and --json both print on stdout; give one of them")
    if options.textfile:
        health.require_textfile(options.textfile)
    bounds = health.load(options.thresholds)
    found = health.check(
        bounds,
        expect=options.expect,
        idle=options.idle,
        names=options.no_redact,
        **look,
    )
    found = found if options.no_redact else hidden(found)
    if options.textfile:
        sys.stderr.write(health.write(found, options.textfile))
    return _print(found, options)


def _print(found: Health, options: HealthOptions) -> int:
    if options.nagios:
        line, code = health.nagios(found)
        sys.stdout.write(f"{_fit(line)}\n")
        return code
    if options.json:
        json_.dump(found.to_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif sys.stdout.isatty():
        from rich.console import Console  # here: a pipe needs none of it

        show(found, Console())
    else:
        sys.stdout.write(_fit(lines(found)))
    return found.verdict.exit_code


def _fit(text: str) -> str:
    return encodable(text, sys.stdout.encoding or "utf-8")


def hidden(found: Health) -> Health:
    """The findings without UUIDs, serial numbers, credentials and home folders."""
    hide = _rule()
    return dataclasses.replace(
        found,
        findings=tuple(_hidden(one, hide) for one in found.findings),
        overrides=tuple(map(hide, found.overrides)),
    )


def _hidden(one: Finding, hide: Any) -> Finding:
    told = {name: hide(getattr(one, name)) for name in ("seen", "source", "remedy")}
    return dataclasses.replace(one, uuid=hide(one.uuid) if one.uuid else None, **told)


def _rule() -> Any:
    return rule(None, os.environ.get("HOME"))


def lines(found: Health) -> str:
    """What `show` prints, for a pipe: no colour, and no line is folded."""
    table = columns([[plain(cell) for cell in row] for row in _rows(found)])
    told = [f"{found.verdict}: {WORDS[found.verdict]}", _about(found), "", *table]
    return "".join(f"{line}\n" for line in (*told, *map(plain, _after(found))))


def _about(found: Health) -> str:
    return f"{found.gpus} GPU(s), driver {found.driver or 'not known'}, {found.seconds:.1f} s"


def _rows(found: Health) -> list[tuple[str, str, str, str]]:
    """Verdict, question, GPUs and what was seen; what is not applicable in one row at the end."""
    rows = [
        (str(same[0].verdict), same[0].name, health.places(same), _seen(same))
        for same in health.grouped(found.findings)
        if same[0].verdict is not Verdict.NOT_APPLICABLE
    ]
    left_out = _left_out(found)
    return [*rows, left_out] if left_out else rows


def show(found: Health, console: Console) -> None:
    """The verdict, a table as wide as the console, and the remedies."""
    from rich.table import Table
    from rich.text import Text

    def words(text: str, style: str = "") -> Text:
        return Text(encodable(plain(text), console.encoding), style)

    style = f"bold {STYLES[found.verdict]}"
    console.print(words(f"{found.verdict}: {WORDS[found.verdict]}", style))
    console.print(words(_about(found)), words(""), sep="\n")
    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for verdict, *row in _rows(found):
        table.add_row(words(verdict, STYLES[Verdict(verdict)]), *map(words, row))
    console.print(table)
    for line in _after(found):
        console.print(words(line, "cyan" if line else ""), highlight=False)


def _seen(same: list[Finding]) -> str:
    """What a group saw, and what it means where something is to be done."""
    one = same[0]
    return f"{one.seen} ({one.why})" if one.why and one.remedy else health.together(same)


def _left_out(found: Health) -> tuple[str, str, str, str] | None:
    """One row for all that is not applicable, with the GPUs where it is on some of them."""
    told: dict[str, list[Finding]] = {}
    for one in found.of(Verdict.NOT_APPLICABLE):
        told.setdefault(one.name, []).append(one)
    named = [
        name if same[0].gpu is None or len(same) == found.gpus else _on(name, same)
        for name, same in told.items()
    ]
    return (str(Verdict.NOT_APPLICABLE), "", "", ", ".join(named)) if named else None


def _on(name: str, same: list[Finding]) -> str:
    return f"{name} (GPU {health.places(same)})"


def _after(found: Health) -> Iterable[str]:
    """Changed bounds, and what to do: each remedy once."""
    if found.overrides:
        yield ""
        yield from (f"changed bound: {words}" for words in found.overrides)
    remedies: dict[str, list[Finding]] = {}
    for one in (*found.of(Verdict.FAIL), *found.of(Verdict.INCONCLUSIVE)):
        remedies.setdefault(f"{one.name}: {one.remedy}", []).append(one)
    if remedies:
        yield ""
    for remedy, same in remedies.items():
        place = health.places(same)
        yield f"{'GPU ' if place else ''}{place}{' ' if place else ''}{remedy}"
