"""The `doctor` command: options in, a table or JSON out, and an exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxpad.doctor._examine import examine
from jaxpad.doctor._finding import Finding
from jaxpad.doctor._host import ENGINES, here
from jaxpad.errors import UsageError
from jaxpad.report._redact import rule
from jaxpad.report._terminal import STYLES
from jaxpad.report._text import encodable, plain
from jaxpad.verdict import Verdict, overall

SUMMARY = {
    Verdict.PASS: "This host has what GPU containers need.",
    Verdict.FAIL: "This host lacks something: mend what failed, first things first.",
    Verdict.INCONCLUSIVE: "Nothing failed, but not all could be found out.",
    Verdict.NOT_APPLICABLE: "Nothing here applies to this host.",
}


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    image: str = ""  # whose CUDA the driver is held against
    engine: str = ""  # docker or podman; empty for both
    json: bool = False


def doctor(options: Options) -> int:
    """Examine this host, print the findings, and return the exit code.

    Raises UsageError for an engine that is none, or an image that looks like an option.
    """
    if options.engine not in ("", *ENGINES):
        raise UsageError(f"--engine {options.engine!r} is not one of {', '.join(ENGINES)}")
    if options.image.startswith("-"):
        raise UsageError(
            f"--image {options.image!r} is no image: give a name such as jaxpad:cuda12"
        )
    found = hidden(examine(here(options.engine or None, options.image or None)))
    if options.json:
        json.dump(to_json(found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(found, Console())
    return verdict(found).exit_code


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The worst of them."""
    return overall(finding.verdict for finding in findings)


def hidden(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without credentials, serial numbers and home folders."""
    hide = rule(None, os.environ.get("HOME"))
    return tuple(
        dataclasses.replace(one, found=hide(one.found), remedy=hide(one.remedy)) for one in findings
    )


def to_json(findings: Sequence[Finding]) -> dict[str, object]:
    """`{"verdict": …, "findings": [{"name", "question", "verdict", "found", "remedy"}]}`."""
    return {
        "verdict": verdict(findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def show(findings: Sequence[Finding], console: Console) -> None:
    """A table as wide as the console, and what it comes to."""

    def words(text: str, style: str = "") -> Text:
        return Text(encodable(plain(text), console.encoding), style)

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        style = STYLES[one.verdict]
        table.add_row(words(one.verdict, style), words(one.name), words(one.found))
        if one.remedy:
            table.add_row("", "", words(f"remedy: {one.remedy}", "cyan"))
    console.print(table)
    console.print()
    console.print(words(SUMMARY[verdict(findings)], f"bold {STYLES[verdict(findings)]}"))
