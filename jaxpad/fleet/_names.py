"""Names of nodes: what may be one, and how it is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import lru_cache

from jaxpad.errors import UsageError
from jaxpad.report._text import plain

# RFC 1123, section 2.1, by way of RFC 952: labels of letters, digits and inner hyphens.
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST = 253
RULE = "a host name of letters, digits, inner hyphens and dots (RFC 1123)"


def valid(name: str) -> bool:
    """Whether `name` can be a node's."""
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def quoted(name: str) -> str:
    """A name from elsewhere as one word that a shell and a terminal can take."""
    return shlex.quote(brief(name, 80))


def brief(text: str, most: int) -> str:
    """Text from elsewhere in one printable line, cut where it is longer than `most`."""
    # Cut first: what comes may be megabytes, and no line is made longer by cleaning it.
    return _brief(text[: 4 * most], most)


@lru_cache(5000)  # the names of checks are the same in all reports
def _brief(text: str, most: int) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def hold(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once. Raises UsageError for one that no node can have."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if not valid(name):
            raise UsageError(f"{quoted(name)} is no node's name: give {RULE}")
    return found


def short(name: str) -> str:
    """The first label, which tells the nodes of one cluster apart; case does not."""
    return name.partition(".")[0].casefold()
