"""The `doctor` command: options in, a table or JSON out, and an exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxpad.commands.machine import DoctorOptions
from jaxpad.core import host as machine
from jaxpad.core.results import STYLES, UsageError, Verdict, overall
from jaxpad.core.text import encodable, plain
from jaxpad.doctor import driver, engine as doctor_engine, machine as doctor_machine, model, toolkit
from jaxpad.doctor.model import (
    Answer,
    Finding,
    Host,
    here,
    inconclusive,
    not_applicable,
    passed,
)
from jaxpad.report.redaction import rule

# All questions, in the order in which one mends a host.

NO_GPU = "this machine shows no NVIDIA GPU"


@dataclass(frozen=True)
class Question:
    """Something to ask of a host; `gpu`: it only makes sense where there is one."""

    name: str
    words: str
    ask: Callable[[Host], Answer]
    gpu: bool = False
    engine: str | None = None  # asked only if this engine is asked about


def place(host: Host) -> Answer:
    """Inconclusive inside a container: drivers and engines are the host's, out of sight."""
    inside = machine.container(host.root)
    if inside:
        return inconclusive(f"this is a {inside} container", "run doctor on the host itself")
    return passed("this is no container")


QUESTIONS = (
    Question("place", "Is this the host, not a container?", place),
    Question("driver", "Is the NVIDIA driver loaded, and does it answer?", driver.driver, True),
    Question("cuda", "Is the driver new enough for the CUDA of the image?", driver.cuda, True),
    Question(
        "docker", "Does docker run, and may I use it?", doctor_engine.docker_engine, engine="docker"
    ),
    Question("podman", "Does podman work?", doctor_engine.podman_engine, engine="podman"),
    Question(
        "group", "Am I in the docker group, if it matters?", doctor_engine.group, engine="docker"
    ),
    Question("builder", "Can docker build the image?", doctor_engine.builder, engine="docker"),
    Question("toolkit", "Is the NVIDIA Container Toolkit installed?", toolkit.toolkit, True),
    Question("cdi", "Do the CDI specifications fit this machine?", toolkit.cdi, True),
    Question("gpu access", "How does a container get the GPUs?", toolkit.ways, True),
    Question("reload", "Do containers keep GPUs on a daemon reload?", toolkit.daemon_reload, True),
    Question("shm", "Is /dev/shm large enough?", doctor_machine.shared_memory),
    Question("disk", "Is there room for the image?", doctor_machine.disk),
    Question("clock", "Is the clock right?", model.clock),
    Question("proxy", "Do shell and docker agree on proxies?", doctor_machine.proxies),
    Question("certificates", "Can the certificate bundles be read?", doctor_machine.certificates),
)


def examine(host: Host) -> tuple[Finding, ...]:
    """Ask the host every question that concerns the engines it was given."""
    asked = (one for one in QUESTIONS if one.engine is None or one.engine in host.engines)
    return tuple(_answer(one, host) for one in asked)


def _answer(question: Question, host: Host) -> Finding:
    answer = not_applicable(NO_GPU) if question.gpu and not host.count else _ask(question, host)
    return Finding(question.name, question.words, answer.verdict, answer.found, answer.remedy)


def _ask(question: Question, host: Host) -> Answer:
    """A question that trips over something odd here must not silence the others."""
    try:
        return question.ask(host)
    except Exception as error:
        words = f"this could not be found out: {type(error).__name__}: {error}"
        return inconclusive(words, "please report it, with what is odd about this machine")


SUMMARY = {
    Verdict.PASS: "This host has what GPU containers need.",
    Verdict.FAIL: "This host lacks something: mend what failed, first things first.",
    Verdict.INCONCLUSIVE: "Nothing failed, but not all could be found out.",
    Verdict.NOT_APPLICABLE: "Nothing here applies to this host.",
}


def doctor(options: DoctorOptions) -> int:
    """Examine this host, print the findings, and return the exit code.

    Raises UsageError for an image that looks like an option.
    """
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
