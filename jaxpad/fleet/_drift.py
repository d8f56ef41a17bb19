"""Versions, flags and settings that differ between nodes: the majority, and who is not of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from jaxpad.fleet._digest import Digest
from jaxpad.fleet._model import Difference, Drift
from jaxpad.fleet._traits import NOT_SET, Trait

MOST_VALUES = 50  # of one setting; where each node has its own, that is no drift


def drift(digests: Iterable[Digest]) -> tuple[Drift, ...]:
    """Each setting that is not the same everywhere."""
    makes: dict[tuple[Trait, ...], list[str]] = {}
    for one in digests:
        makes.setdefault(one.traits, []).append(one.name)
    settings = [(dict(traits), nodes) for traits, nodes in makes.items()]
    names = dict.fromkeys(name for traits, _ in settings for name in traits)
    told = (_one(name, settings) for name in names)
    return tuple(each for each in told if each)


def _one(name: str, settings: list[tuple[dict[str, str], list[str]]]) -> Drift | None:
    found: dict[str, list[str]] = {}
    for traits, nodes in settings:
        found.setdefault(traits.get(name, NOT_SET), []).extend(nodes)
    if len(found) < 2 or _own(found):
        return None
    sizes = Counter({value: len(nodes) for value, nodes in found.items()})
    (majority, count), *_ = sizes.most_common(1)
    return Drift(name, majority, count, tuple(_others(found, majority)))


def _own(found: dict[str, list[str]]) -> bool:
    """Whether so many values are about that each node has its own, as a path or a name."""
    nodes = sum(map(len, found.values()))
    return len(found) > MOST_VALUES and len(found) > nodes / 2


def _others(found: dict[str, list[str]], majority: str) -> Iterator[Difference]:
    for value, nodes in sorted(found.items(), key=lambda pair: -len(pair[1])):
        if value != majority:
            yield Difference(value, tuple(sorted(nodes)))
