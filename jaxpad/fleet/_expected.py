"""The nodes that should be there: a list of them, or a file of names."""

from __future__ import annotations

from pathlib import Path

from jaxpad import hostlist
from jaxpad.errors import UsageError
from jaxpad.fleet._names import hold

LONGEST = 16 << 20  # bytes of a file of names


def expand(text: str) -> tuple[str, ...]:
    """`n[0-2],n7` as n0, n1, n2, n7. Raises UsageError for no list, and no name of a node."""
    return hold(hostlist.expand(text))


def expected(text: str) -> tuple[str, ...]:
    """The nodes that `text` names: the names in a file, or a list such as n[0-3],n7.

    A file has names or such lists, apart by commas or white space; the rest of a line
    after # is a remark. Raises UsageError for what is neither.
    """
    file = Path(text)
    return expand(_read(file) if _is_file(file) else text)


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # a list too long for a file's name
        return False


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > LONGEST:
            raise UsageError(f"--expect {file} is larger than 16 MiB; give a file of names")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--expect {file} cannot be read ({error}); give a file of names"
        ) from None
    return "\n".join(line.partition("#")[0] for line in lines)
