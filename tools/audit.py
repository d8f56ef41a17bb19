"""The `audit` command: pins in, what is known against them out, and an exit code."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from jaxpad.core import child, paths
from jaxpad.core.files import Folder
from jaxpad.core.results import UsageError, Verdict
from jaxpad.core.text import plain
from tools import licences
from tools.licences import Pin
from tools.options import AuditOptions

# What an audit finds.


@dataclass(frozen=True)
class Advisory:
    """A known vulnerability of a pin."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]
    sets: tuple[str, ...]  # the files that pin it, without .txt


@dataclass(frozen=True)
class Unaudited:
    """A pin nobody could say anything about."""

    package: str
    version: str
    why: str


@dataclass(frozen=True)
class Answer:
    """What the advisory service said of the pins."""

    advisories: tuple[Advisory, ...] = ()
    unaudited: tuple[Unaudited, ...] = ()


@dataclass(frozen=True)
class Allowed:
    """An exception: this advisory of this package is accepted until a day, which is the last."""

    id: str
    package: str
    why: str
    until: datetime.date

    def covers(self, found: Advisory) -> bool:
        """Whether it speaks of that advisory, by its id or one of its aliases."""
        return self.package == found.package and self.id in (found.id, *found.aliases)


@dataclass(frozen=True)
class Judged:
    """The answer held against the exceptions."""

    pins: int
    vulnerable: tuple[Advisory, ...] = ()
    accepted: tuple[tuple[Advisory, Allowed], ...] = ()
    expired: tuple[Allowed, ...] = ()
    unmatched: tuple[Allowed, ...] = ()  # no pin has that advisory any more
    unaudited: tuple[Unaudited, ...] = ()


# What the advisory service knows of pins, asked through pip-audit.
#
# pip-audit leaves out what another Python or platform would install, and refuses a file with
# two versions of a package. Our files are for all of them, so it gets files of our own making:
# no markers, and a second version in a second file. Source: RequirementSource in pip_audit 2.10.

_MISSING = "No module named pip_audit"
_LIMIT_S = 1800.0  # for hundreds of pins, each a question to the service


def ask(found: Iterable[Pin], service: Sequence[str]) -> Answer:
    """Every advisory of these pins, and those that could not be audited with why.

    `service`: pip-audit's options that say whom to ask.
    """
    answers = [_round(group, service) for group in licences.rounds(found)]
    return Answer(
        tuple(one for answer in answers for one in answer.advisories),
        tuple(one for answer in answers for one in answer.unaudited),
    )


def argv(file: Path, service: Sequence[str]) -> list[str]:
    """pip-audit over one file, without pip: nothing is resolved, downloaded or installed."""
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--desc", "off"]
    quiet = ["--aliases", "on", "--progress-spinner", "off"]
    return child.python("-m", "pip_audit", "-r", str(file), *options, *quiet, *service)


def _round(group: Sequence[Pin], service: Sequence[str]) -> Answer:
    with Folder("audit") as folder:
        file = folder / "requirements.txt"
        file.write_text("".join(map(_line, group)), encoding="utf-8")
        environ = paths.importable(os.environ)
        done = child.run(argv(file, service), environ=environ, limit_s=_LIMIT_S)
    try:
        told = json.loads(done.out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        late = f"pip-audit gave no answer within {_LIMIT_S:.0f} s{done.note}"
        why = late if done.late else _reason(done.err)
        return Answer(unaudited=tuple(Unaudited(pin.name, pin.version, why) for pin in group))
    return _read(group, {canonicalize_name(one["name"]): one for one in told})


def _line(pin: Pin) -> str:
    hashes = "".join(f" --hash={one}" for one in pin.hashes)
    return f"{pin.name}=={pin.version}{hashes}\n"


def _reason(stderr: str) -> str:
    """The last thing pip-audit said. Raises UsageError where there is no pip-audit."""
    if _MISSING in stderr:
        raise UsageError(
            "pip-audit is not installed: pip install --require-hashes -r requirements/dev.txt"
        )
    lines = [line for line in stderr.splitlines() if line.strip() and "Tip:" not in line]
    return lines[-1].removeprefix("ERROR:pip_audit._cli:") if lines else "pip-audit said nothing"


def _read(group: Sequence[Pin], told: dict[str, Any]) -> Answer:
    advisories: list[Advisory] = []
    unaudited: list[Unaudited] = []
    for pin in group:
        one = told.get(pin.name, {"skip_reason": "pip-audit left it out"})
        if "skip_reason" in one:
            # The pin's name ends pip-audit's reason: without it, one reason stands for many pins.
            why = one["skip_reason"].removesuffix(f": {pin.name} ({pin.version})")
            unaudited.append(Unaudited(pin.name, pin.version, why))
        advisories += [_advisory(pin, vuln) for vuln in one.get("vulns", ())]
    return Answer(tuple(advisories), tuple(unaudited))


def _advisory(pin: Pin, told: dict[str, Any]) -> Advisory:
    aliases, fixed = tuple(told.get("aliases", ())), tuple(told["fix_versions"])
    return Advisory(pin.name, pin.version, told["id"], aliases, fixed, pin.sets)


# requirements/audit.toml: advisories that are accepted, each with a reason and a last day.

_KEYS = {"id": str, "package": str, "why": str, "until": datetime.date}
_FORM = "expected id, package, why as text and until as a day, such as until = 2027-01-31"


def read_exceptions(file: Path) -> tuple[Allowed, ...]:
    """The exceptions of a file; none where it is not there. Raises UsageError for a bad one."""
    if not file.exists():
        return ()
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read as TOML: {error}; fix it") from error
    tables = found.pop("allow", [])
    if found or not isinstance(tables, list):
        raise UsageError(
            f"{file} holds {', '.join(sorted(found)) or 'a single allow'}; "
            "expected [[allow]] tables and nothing else"
        )
    return tuple(_allowed(file, number, table) for number, table in enumerate(tables, 1))


def _allowed(file: Path, number: int, table: Any) -> Allowed:
    if not isinstance(table, dict) or table.keys() != _KEYS.keys():
        given = ", ".join(sorted(table)) if isinstance(table, dict) else repr(table)
        raise UsageError(f"{file}: exception {number} holds {given or 'nothing'}; {_FORM}")
    for key, kind in _KEYS.items():
        # A datetime is a date to Python, yet not a day.
        if type(table[key]) is not kind or not str(table[key]).strip():
            raise UsageError(f"{file}: exception {number} has {key} = {table[key]!r}; {_FORM}")
    return Allowed(table["id"], canonicalize_name(table["package"]), table["why"], table["until"])


# The service's answer held against the exceptions.


def judge(pins: int, answer: Answer, allowed: Sequence[Allowed], today: datetime.date) -> Judged:
    """Which advisories stand, which are accepted, which exceptions are out of date.

    An exception counts up to and with its last day. It no longer matches only where its
    package was audited: of what nobody could ask about, nothing follows.
    """
    valid = [one for one in allowed if today <= one.until]
    accepted = [(found, one) for found in answer.advisories for one in _covering(found, valid)]
    covered = {id(found) for found, _ in accepted}
    unasked = {one.package for one in answer.unaudited}
    return Judged(
        pins,
        tuple(found for found in answer.advisories if id(found) not in covered),
        tuple(accepted),
        tuple(one for one in allowed if today > one.until),
        tuple(one for one in valid if one.package not in unasked and not _used(one, answer)),
        answer.unaudited,
    )


def verdict(judged: Judged) -> Verdict:
    """A vulnerability or an expired exception fails; what was not audited is inconclusive."""
    if judged.vulnerable or judged.expired:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if judged.unaudited else Verdict.PASS


def _covering(found: Advisory, allowed: Sequence[Allowed]) -> list[Allowed]:
    return [one for one in allowed if one.covers(found)][:1]


def _used(one: Allowed, answer: Answer) -> bool:
    return any(one.covers(found) for found in answer.advisories)


SERVICES = ("pypi", "osv")
EXCEPTIONS = "audit.toml"
SUMMARY = {
    Verdict.PASS: "nothing known stands against them",
    Verdict.FAIL: "renew the pins (invoke lock --upgrade), or accept an advisory in "
    "requirements/audit.toml with a reason and a last day",
    Verdict.INCONCLUSIVE: "not all could be audited, which is no pass: ask again with a network "
    "that reaches the service, or another --service",
}


def audit(options: AuditOptions) -> int:
    """Audit every pin, say what was found, and return the exit code: 0, 1 or 3.

    Raises UsageError for pins or exceptions that are unreadable.
    """
    allowed = read_exceptions(options.requirements / EXCEPTIONS)
    found = licences.read_pins(options.requirements)
    answer = ask(found, _service(options))
    judged = judge(len(found), answer, allowed, datetime.datetime.now(datetime.UTC).date())
    if options.json:
        json.dump(to_json(judged), sys.stdout, indent=2, default=str)
        sys.stdout.write("\n")
    else:
        sys.stdout.write("".join(f"{plain(line)}\n" for line in lines(judged)))
    return verdict(judged).exit_code


def _service(options: AuditOptions) -> list[str]:
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
