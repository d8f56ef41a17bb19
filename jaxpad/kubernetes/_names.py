"""Names of nodes and objects, and words from a cluster, made fit to use and to print."""

from __future__ import annotations

import re
import shlex

from jaxpad.errors import UsageError
from jaxpad.report._text import plain

# RFC 1123, as Kubernetes has it: lower case
# (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LONGEST = 253


def valid(name: str) -> bool:
    """Whether a node, a pod or a secret can have this name."""
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def require(option: str, name: str) -> str:
    """The name, which may be empty. Raises UsageError for one that no object can have."""
    if name and not valid(name):
        raise UsageError(
            f"--{option} {quoted(name)} is no name of lower-case letters, digits, inner hyphens "
            "and dots (RFC 1123)"
        )
    return name


def quoted(name: str) -> str:
    """A name from elsewhere as one word that a shell and a terminal can take."""
    return shlex.quote(brief(name, 80))


def brief(text: str, most: int = 300) -> str:
    """Text from elsewhere in one printable line, cut where it is longer than `most`."""
    line = " ".join(plain(text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
