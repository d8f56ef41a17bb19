"""The folders of a fleet: which may be nodes', and what each holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad.errors import UsageError
from jaxpad.fleet._digest import Digest, keeper
from jaxpad.fleet._names import RULE, quoted, short, valid
from jaxpad.fleet._open import OURS, kind
from jaxpad.fleet._pool import answers
from jaxpad.fleet._refused import Refused

OWN = "fleet.json"  # a folder with this alone is where a fleet was written


@dataclass
class Gathered:
    """What a folder of reports holds."""

    digests: list[Digest] = field(default_factory=list)
    set_aside: dict[str, Refused] = field(default_factory=dict)  # by the folder's name
    empty: list[str] = field(default_factory=list)  # folders without a smoke.json


def gather(root: Path) -> Gathered:
    """Every report below `root`. Raises UsageError for a folder that cannot be read."""
    entries = dict(_entries(root))
    found = Gathered(set_aside={name: why for name, why in entries.items() if why})
    same = keeper()
    names = sorted(entries.keys() - found.set_aside.keys())
    for name, answer in answers(str(root), names):
        if isinstance(answer, Digest):
            found.digests.append(answer.shared(same))
        elif answer is not None:
            found.set_aside[name] = answer
        elif not os.path.lexists(root / name / OWN):
            found.empty.append(name)
    _set_copies_aside(found)
    return found


def _entries(root: Path) -> Iterator[tuple[str, Refused | None]]:
    """The names in the folder, each with the reason why it cannot be a node's, if any.

    Plain files are passed over, and so is what is hidden: neither is a node's.
    """
    try:
        with os.scandir(root) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and not entry.is_file(follow_symlinks=False):
                    yield entry.name, _refused(entry)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"--reports {quoted(str(root))}: {why}; give the folder that holds one folder a node"
        ) from None


def _refused(entry: os.DirEntry[str]) -> Refused | None:
    if not valid(entry.name):
        return Refused(f"a node's name is {RULE}", "rename the folder, or remove it")
    mode = entry.stat(follow_symlinks=False).st_mode
    return None if stat.S_ISDIR(mode) else Refused(f"it is {kind(mode)}, not a folder", OURS)


def _set_copies_aside(found: Gathered) -> None:
    """A report may lie in two folders, of which at most one is its node's."""
    copies: dict[str, str] = {}
    for one, why in _copies(found.digests):
        copies.setdefault(one.name, why)
    found.digests = [one for one in found.digests if one.name not in copies]
    found.set_aside |= {name: Refused(why) for name, why in copies.items()}


def _copies(digests: list[Digest]) -> Iterator[tuple[Digest, str]]:
    marks: dict[bytes, list[Digest]] = {}
    cases: dict[str, list[Digest]] = {}
    for one in digests:
        marks.setdefault(one.mark, []).append(one)
        cases.setdefault(one.name.casefold(), []).append(one)
    yield from (pair for same in marks.values() if same[1:] for pair in _same_bytes(same))
    folders = {short(one.name) for one in digests}
    for one in digests:
        if len(cases[one.name.casefold()]) > 1:
            yield one, "another folder's name differs from this one's in case alone"
        elif not _own(one) and short(one.node) in folders:
            yield one, f"it is a report of {quoted(one.node)}, which has a folder of its own"


def _own(one: Digest) -> bool:
    """Whether a report calls its node what its folder is called."""
    return short(one.node) == short(one.name)


def _same_bytes(same: list[Digest]) -> Iterator[tuple[Digest, str]]:
    """All but the one that names its folder, if just one does."""
    owners = [one for one in same if _own(one)]
    kept = owners[0] if len(owners) == 1 else None
    for one in same:
        if one is not kept:
            other = kept or next(each for each in same if each is not one)
            yield one, f"the same report, byte for byte, lies in {quoted(other.name)}"
