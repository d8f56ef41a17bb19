"""From a folder of reports to a fleet."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import jaxpad
from jaxpad import bounds as all_bounds
from jaxpad.bounds import Bounds
from jaxpad.fleet._digest import Digest
from jaxpad.fleet._drift import drift
from jaxpad.fleet._gather import Gathered, gather
from jaxpad.fleet._model import Fleet, Node, Outlier, Problem, SetAside
from jaxpad.fleet._names import brief, hold, valid
from jaxpad.fleet._node import absent, missing, set_aside, tested
from jaxpad.fleet._outliers import compared, lay
from jaxpad.fleet._problems import Key, problems

NOBODY: Mapping[str, str] = MappingProxyType({})
RULES = (
    "outlier_deviations_least",
    "outlier_distance_least",
    "outlier_other_least",
    "outlier_peers_least",
    "shared_failure_least",
)


def merge(
    folder: Path,
    *,
    expected: Sequence[str] = (),
    not_tested: Mapping[str, str] = NOBODY,
    bounds: Bounds | None = None,
) -> Fleet:
    """The fleet whose reports lie in `folder`, one folder a node, named for it.

    `expected`: nodes that should be there; one without a report is inconclusive.
    `not_tested`: nodes that could not be tested, each with the reason.

    Raises UsageError for a folder that cannot be read and for a name that no node can have.
    Whatever the reports hold is told, and raises nothing.
    """
    wanted, reasons = hold(expected), dict(zip(hold(not_tested), not_tested.values(), strict=True))
    limits = bounds or all_bounds.load()
    found = gather(folder)
    told = problems(found.digests, limits["shared_failure_least"].value)
    columns = [compared(numbers, limits) for numbers in lay(found.digests)]
    outliers = tuple(sorted((one for _, outside in columns for one in outside), key=_rank))
    started = sorted(one.started for one in found.digests if one.started)
    return Fleet(
        jaxpad=jaxpad.__version__,
        folder=brief(str(folder), 300),
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        oldest=started[0] if started else "",
        newest=started[-1] if started else "",
        nodes=_nodes(found, told, outliers, wanted, reasons),
        set_aside=tuple(
            SetAside(brief(name, 120), why.why, why.remedy)
            for name, why in sorted(found.set_aside.items())
        ),
        problems=tuple(told.values()),
        outliers=outliers,
        drift=drift(found.digests),
        distributions=tuple(spread for spread, _ in columns if spread),
        unexpected=_unexpected(found.digests, wanted),
        rules=tuple(_rule(limits, name) for name in RULES),
    )


def _rule(limits: Bounds, name: str) -> str:
    bound = limits[name]
    return f"{name} = {bound.value:g} {bound.unit} ({bound.origin})"


def _rank(outlier: Outlier) -> tuple[bool, float]:
    """Slow GPUs first, the farthest first."""
    return (not outlier.slow, -abs(outlier.distance))


def _unexpected(digests: Iterable[Digest], wanted: Sequence[str]) -> tuple[str, ...]:
    names = {one.name for one in digests} - set(wanted)
    return tuple(sorted(names, key=natural)) if wanted else ()


def _nodes(
    found: Gathered,
    told: Mapping[Key, Problem],
    outliers: Iterable[Outlier],
    wanted: Iterable[str],
    reasons: Mapping[str, str],
) -> tuple[Node, ...]:
    slow: dict[str, list[Outlier]] = {}
    for each in outliers:
        if each.slow:
            slow.setdefault(each.node, []).append(each)
    nodes = {one.name: tested(one, told, slow.get(one.name, ())) for one in found.digests}
    aside = ((name, why) for name, why in found.set_aside.items() if valid(name))
    nodes |= {name: set_aside(name, why) for name, why in aside}
    nodes |= {name: missing(name, "its folder holds no smoke.json") for name in found.empty}
    nodes = {name: missing(name, "no report of it came") for name in wanted} | nodes
    nodes |= {name: absent(name, why, nodes.get(name)) for name, why in reasons.items()}
    return tuple(nodes[name] for name in sorted(nodes, key=natural))


def natural(name: str) -> tuple[tuple[str, int], ...]:
    """n2 before n10."""
    return tuple(_parts(name))


def _parts(name: str) -> Iterator[tuple[str, int]]:
    for text, digits in re.findall(r"(\D*)(\d*)", name):
        yield text, int(digits or -1)
