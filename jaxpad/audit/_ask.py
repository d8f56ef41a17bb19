"""What the advisory service knows of pins, asked through pip-audit.

pip-audit leaves out what another Python or platform would install, and refuses a file with
two versions of a package. Our files are for all of them, so it gets files of our own making:
no markers, and a second version in a second file. Source: RequirementSource in pip_audit 2.10.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from jaxpad import paths, pins
from jaxpad.audit._model import Advisory, Answer, Unaudited
from jaxpad.core import child
from jaxpad.core.temporary import Folder
from jaxpad.errors import UsageError
from jaxpad.pins import Pin

_MISSING = "No module named pip_audit"
_LIMIT_S = 1800.0  # for hundreds of pins, each a question to the service


def ask(found: Iterable[Pin], service: Sequence[str]) -> Answer:
    """Every advisory of these pins, and those that could not be audited with why.

    `service`: pip-audit's options that say whom to ask.
    """
    answers = [_round(group, service) for group in pins.rounds(found)]
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
        file.write_text("".join(map(_line, group)))
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
