"""The `audit` command: pins in, what is known against them out, and an exit code."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxpad import pins
from jaxpad.audit import _exceptions
from jaxpad.audit._ask import ask
from jaxpad.audit._judge import judge, verdict
from jaxpad.audit._model import Judged, Unaudited
from jaxpad.errors import UsageError
from jaxpad.report._text import plain
from jaxpad.verdict import Verdict

SERVICES = ("pypi", "osv")
EXCEPTIONS = "audit.toml"
SUMMARY = {
    Verdict.PASS: "nothing known stands against them",
    Verdict.FAIL: "renew the pins (invoke lock --upgrade), or accept an advisory in "
    "requirements/audit.toml with a reason and a last day",
    Verdict.INCONCLUSIVE: "not all could be audited, which is no pass: ask again with a network "
    "that reaches the service, or another --service",
}


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    requirements: Path  # the folder of the pins
    service: str = "pypi"
    osv_url: str = ""  # empty: pip-audit's own
    json: bool = False


def audit(options: Options) -> int:
    """Audit every pin, say what was found, and return the exit code: 0, 1 or 3.

    Raises UsageError for a service that is none, and for pins or exceptions that are unreadable.
    """
    allowed = _exceptions.read(options.requirements / EXCEPTIONS)
    found = pins.read(options.requirements)
    answer = ask(found, _service(options))
    judged = judge(len(found), answer, allowed, datetime.datetime.now(datetime.UTC).date())
    if options.json:
        json.dump(to_json(judged), sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{plain(line)}\n" for line in lines(judged)))
    return verdict(judged).exit_code


def _service(options: Options) -> list[str]:
    if options.service not in SERVICES:
        raise UsageError(f"--service {options.service!r} is not one of {', '.join(SERVICES)}")
    if not options.osv_url:
        return ["--vulnerability-service", options.service]
    if options.service != "osv":
        raise UsageError(f"--osv-url {options.osv_url!r} goes with --service osv: add it")
    if not options.osv_url.startswith(("https://", "http://")):
        raise UsageError(f"--osv-url {options.osv_url!r} is no address: begin it with https://")
    return ["--vulnerability-service", "osv", "--osv-url", options.osv_url]


def to_json(judged: Judged) -> dict[str, object]:
    """The verdict, and everything that `Judged` holds."""
    accepted = [
        {"advisory": dataclasses.asdict(found), "exception": dataclasses.asdict(one)}
        for found, one in judged.accepted
    ]
    told = dataclasses.asdict(judged) | {"accepted": accepted}
    return {"verdict": verdict(judged), **told}


def lines(judged: Judged) -> Iterator[str]:
    """One line a finding, the worst first, and what it comes to."""
    for found in judged.vulnerable:
        names = f"{found.id} ({', '.join(found.aliases)})" if found.aliases else found.id
        fixed = f"fixed in {', '.join(found.fixed_in)}" if found.fixed_in else "no fix yet"
        held = f"pinned in {', '.join(found.sets)}"
        yield f"VULNERABLE  {found.package} {found.version}: {names}, {fixed}; {held}"
    for old in judged.expired:
        yield f"EXPIRED     {old.package}: the exception {old.id} ended on {old.until}: {old.why}"
    yield from _unaudited(judged.unaudited)
    for found, one in judged.accepted:
        why = f"until {one.until}: {one.why}"
        yield f"accepted    {found.package} {found.version}: {found.id}, {why}"
    for one in judged.unmatched:
        yield f"no match    {one.package}: no pin has {one.id} any more: remove the exception"
    asked = judged.pins - len(judged.unaudited)
    yield f"{asked} of {judged.pins} pins audited: {SUMMARY[verdict(judged)]}"


def _unaudited(found: tuple[Unaudited, ...]) -> Iterator[str]:
    """A line a reason, so that a service that is away does not fill the screen."""
    for why in dict.fromkeys(one.why for one in found):
        names = [f"{one.package} {one.version}" for one in found if one.why == why]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"NOT AUDITED {', '.join(names[:3])}{more}: {why}"
