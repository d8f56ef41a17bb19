"""Many nodes in few words, as Slurm writes them: n[0-3,7],gpu01.

Expanded here, since the image of a job seldom has scontrol.
Source: https://slurm.schedmd.com/scontrol.html (show hostnames).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

from jaxpad.core.results import UsageError

MOST = 100_000  # nodes that a list may name; a slip of the keyboard names more
_WORD = re.compile(r"(?:[^\[\],\s]|\[[^\[\]]*\])+")
_SEPARATORS = re.compile(r"[,\s]*")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")
_COUNTED = re.compile(r"(.*?)(\d{1,9})(\D*)", re.DOTALL)


def expand(text: str) -> tuple[str, ...]:
    """`n[0-2],n7` as n0, n1, n2, n7, each once. Raises UsageError for a list that is none.

    Whether a node can have such a name is not looked at.
    """
    found: list[str] = []
    for word in _words(text):
        found += itertools.islice(_expanded(word), MOST + 1)
        if len(found) > MOST:
            raise UsageError(f"{_told(text)} names more than {MOST:,} nodes; name fewer")
    if not found:
        raise UsageError(f"{_told(text)} names no node; give a list such as n[0-3],n7")
    return tuple(dict.fromkeys(found))


def _told(text: str) -> str:
    """What was given, printable and not too long."""
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def _words(text: str) -> Iterator[str]:
    at = 0
    while (at := _SEPARATORS.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        word = _WORD.match(text, at)
        if word is None:
            where = _told(text[at:])
            raise UsageError(f"{_told(text)}: a bracket is not closed, at {where}; write n[0-3]")
        yield word[0]
        at = word.end()


def _expanded(word: str) -> Iterator[str]:
    parts = re.split(r"\[([^\]]*)\]", word)  # odd parts stood in brackets
    choices = (_range(part) if at % 2 else [part] for at, part in enumerate(parts))
    return ("".join(each) for each in itertools.product(*choices))


def _range(text: str) -> list[str]:
    """`0-2,7` as 0, 1, 2, 7; leading zeros stay."""
    found: list[str] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"{_told(f'[{text}]')} is no range of numbers; write [0-3,7]")
        first, last = match[1], match[2] or match[1]
        if not 0 <= int(last) - int(first) < MOST - len(found):
            raise UsageError(f"{_told(f'[{text}]')} runs backwards or too far; write [0-3,7]")
        found += (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
    return found


def compress(names: Iterable[str]) -> str:
    """The other way: names that differ in their last number alone share one word."""
    names = tuple(dict.fromkeys(names))
    split = {name: match.groups() for name in names if (match := _COUNTED.fullmatch(name))}
    # n08 shows that n10 has leading zeros too, though none is to be seen.
    padded = {(x, y, len(n)) for x, n, y in split.values() if n[0] == "0" and len(n) > 1}
    groups: dict[tuple[str, str, int], list[int]] = {}
    for before, digits, after in split.values():
        width = len(digits) if (before, after, len(digits)) in padded else 0
        groups.setdefault((before, after, width), []).append(int(digits))
    words = (_word(*key, sorted(numbers)) for key, numbers in groups.items())
    return ",".join(sorted([*(name for name in names if name not in split), *words]))


def _word(before: str, after: str, width: int, numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"{before}{numbers[0]:0{width}}{after}"
    spans = (list(span) for _, span in itertools.groupby(enumerate(numbers), lambda p: p[1] - p[0]))
    told = (_span(span[0][1], span[-1][1], width) for span in spans)
    return f"{before}[{','.join(told)}]{after}"


def _span(first: int, last: int, width: int) -> str:
    return f"{first:0{width}}" if first == last else f"{first:0{width}}-{last:0{width}}"


# Slurm's short way to write how many tasks each node has: `2(x3),1`.


def counts(text: str) -> tuple[int, ...]:
    """Tasks of each node, from SLURM_STEP_TASKS_PER_NODE: `2(x3),1` is 2, 2, 2, 1."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        each = re.fullmatch(r"(\d{1,6})(?:\(x(\d{1,6})\))?", part)
        if not each or len(found) > MOST:
            raise UsageError(f"{text!r} is no count of tasks as Slurm writes one")
        found += [int(each[1])] * int(each[2] or 1)
    return tuple(found)
