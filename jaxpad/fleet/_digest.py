"""What a fleet keeps of one report: a few kilobytes, most of them shared between nodes."""

from __future__ import annotations

import datetime
import hashlib
import math
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from jaxpad.fleet._names import brief
from jaxpad.fleet._refused import Refused
from jaxpad.fleet._series import Sample, Series, models, samples
from jaxpad.fleet._traits import Trait, traits
from jaxpad.report import CheckResult, Report
from jaxpad.verdict import Verdict

WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)
MOST_WRONG = 200  # checks that are not a pass; the suite has 200 in all
MOST_SAMPLES = 20_000  # sixteen GPUs cut in seven have 6,000
T = TypeVar("T")
Same = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A check that is not a pass; `key` is the same on nodes with the same thing wrong."""

    check: str
    verdict: Verdict
    reason: str
    remedy: str
    key: str


@dataclass(frozen=True, slots=True)
class Digest:
    """One node's report. `layout` says what each of `values` is."""

    name: str  # of the folder
    node: str  # what the report calls its node
    started: str  # empty: it says nothing that is a time
    verdict: Verdict
    wrong: tuple[Wrong, ...]
    models: tuple[str, ...]  # of the GPUs that the driver lists
    traits: tuple[Trait, ...]
    layout: tuple[tuple[Series, str], ...]
    values: array[float]
    mark: bytes  # the same for the same bytes

    def shared(self, same: Same) -> Digest:
        """The digest with what other nodes have too replaced by the one that is kept."""
        return Digest(
            self.name,
            self.node,
            self.started,
            self.verdict,
            tuple(map(same, self.wrong)),
            same(self.models),
            same(self.traits),
            same(self.layout),
            self.values,
            self.mark,
        )


def keeper() -> Same:
    """A function that gives back the first of all equal values it was ever given."""
    kept: dict[Any, Any] = {}
    return lambda value: kept.setdefault(value, value)


def digest(name: str, report: Report, data: bytes, same: Same) -> Digest:
    """The digest of the report that was read from `data` in the folder `name`.

    Raises Refused for more numbers than a node can have.
    """
    found = _bounded(samples(report))
    found_wrong = [check for check in report.checks if check.verdict in WRONG]
    first = sorted(found_wrong, key=lambda check: check.verdict is not Verdict.FAIL)[:MOST_WRONG]
    whole = Digest(
        name=name,
        node=brief(report.node, 80),
        started=_moment(report.started),
        verdict=report.verdict,
        wrong=tuple(_wrong(check, (name, report.node)) for check in first),
        models=models(report),
        traits=traits(report),
        layout=tuple((each.series, each.place) for each in found),
        values=array("d", (each.value for each in found)),
        mark=hashlib.blake2b(data, digest_size=16).digest(),
    )
    return whole.shared(same)


def _moment(text: str) -> str:
    """A time that is one; any other text would be the newest of the fleet."""
    try:
        return datetime.datetime.fromisoformat(text).isoformat(timespec="seconds")
    except ValueError:
        return ""


def _bounded(found: Iterator[Sample]) -> list[Sample]:
    kept = []
    for each in found:
        kept.append(each)
        if len(kept) > MOST_SAMPLES:
            raise Refused(f"it holds more than {MOST_SAMPLES:,} rates and measurements")
    return [each for each in kept if math.isfinite(each.value)]


def _wrong(check: CheckResult, names: tuple[str, ...]) -> Wrong:
    reason = brief(check.reason or check.output[-500:], 500)
    key = alike(reason, names)
    return Wrong(brief(check.id, 120), check.verdict, reason, brief(check.remedy, 500), key)


_NUMBERS = re.compile(
    r"\b(?:GPU|MIG)-[0-9a-f-]+"  # the start of a UUID
    r"|\b(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]\b"  # a PCI bus id
    r"|\b0x[0-9a-fA-F]+"
    r"|\d+(?:[.,]\d+)*"
)


def alike(reason: str, names: tuple[str, ...]) -> str:
    """A reason without its numbers and its node's own name: the same for the same fault."""
    for name in filter(None, names):
        reason = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "<node>", reason)
    return _NUMBERS.sub("#", reason)
