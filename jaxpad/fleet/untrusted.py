"""A node's file read without trust: never followed, never waited for, never without end.

Whoever can write into a report folder may leave there a symbolic link to a secret, a FIFO
that blocks its reader, a device that never ends, or a file that grows while it is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jaxpad.core.codec import NoNumber, loads
from jaxpad.core.files import LARGEST, kind as kind, read_plain as read_plain
from jaxpad.core.results import UsageError
from jaxpad.core.text import brief_list
from jaxpad.report import Report, from_json

# A node's report that is set aside, and why.

AGAIN = "run the smoke suite on that node again"


class Refused(UsageError):
    """A report that cannot be trusted: what is wrong with it, and the remedy."""

    def __init__(self, why: str, remedy: str = AGAIN) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why, self.remedy = why, remedy

    def __reduce__(self) -> Any:  # an exception is pickled by its one message
        return (Refused, (self.why, self.remedy))


SMOKE = "smoke.json"
LIMIT = LARGEST  # 16 MiB; a node of eight GPUs writes 0.3 MB
_SAFE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
OURS = "let jaxpad write plain files in plain folders there"


def smoke_of(folder: str, root: int | None = None) -> bytes:
    """The bytes of the smoke.json in `folder`, a name below the open folder `root`.

    Raises Refused for whatever is not a plain file in a plain folder, is too large, or
    changes meanwhile; FileNotFoundError where there is none.
    """
    try:
        with _opened(folder, root, os.O_DIRECTORY) as found:
            return _file(found)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _sentence(error) from None


def _sentence(error: OSError) -> Refused:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return Refused("its folder is a symbolic link or no folder", OURS)
    why = error.strerror or type(error).__name__
    return Refused(f"{SMOKE} cannot be read ({why})", "let jaxpad fleet read it")


@contextmanager
def _opened(name: str, root: int | None, flags: int = 0) -> Iterator[int]:
    handle = os.open(name, _SAFE | flags, dir_fd=root)
    try:
        yield handle
    finally:
        os.close(handle)


def _file(folder: int) -> bytes:
    # Looked at before it is opened: opening alone makes some devices act.
    before = _held(_look(folder))
    with _opened(SMOKE, folder) as file:
        opened = _held(os.fstat(file))
        data = _all(file)
        states = (before, opened, os.fstat(file), _look(folder))
    if len(set(map(_identity, states))) > 1:
        raise Refused(f"{SMOKE} changed while it was read", "merge again when it is complete")
    return data


def _look(folder: int) -> os.stat_result:
    return os.stat(SMOKE, dir_fd=folder, follow_symlinks=False)


def _held(found: os.stat_result) -> os.stat_result:
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{SMOKE} is {kind(found.st_mode)}, not a plain file", OURS)
    if found.st_size > LIMIT:
        raise Refused(
            f"{SMOKE} has {found.st_size:,} bytes, over the {LIMIT >> 20} MiB it may have"
        )
    return found


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns)


def _all(file: int) -> bytes:
    """All bytes, or one more than there may be."""
    parts, left = [], LIMIT + 1
    while left and (part := os.read(file, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    if not left:
        raise Refused(f"{SMOKE} grew over the {LIMIT >> 20} MiB it may have while it was read")
    return b"".join(parts)


# From bytes that anybody may have written to a report, or the reason why not.

DEEPEST = 32  # a report nests 7 deep
MOST_VALUES = 1_000_000  # Python takes 60 bytes for what is 3 in the file
_NO_MARKS = bytes(set(range(256)) - set(b'[]{},"'))


def parse(data: bytes) -> Report:
    """The report. Raises Refused for what jaxpad would not have written."""
    _hold_shape(data)
    content = _loads(data)
    try:
        report = from_json(content)
    except UsageError as error:
        raise Refused(brief_list(str(error).partition("; ")[0], 300)) from None
    if content.get("verdict") != report.verdict:
        told = brief_list(str(content.get("verdict")), 40)
        raise Refused(f"it says {told!r} where its checks come to {report.verdict.value!r}")
    return report


def _hold_shape(data: bytes) -> None:
    """Refuse what is nested too deep or has too many values, before anything is parsed.

    All in C: strings are cut out, and brackets that close each other taken away layer by
    layer. What then remains is deeper than that, or not closed.
    """
    marks = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_MARKS)
    # Two quotes that meet hold nothing, or nothing lies between two strings.
    bare = b"".join(marks.replace(b'""', b"").split(b'"')[::2])
    brackets = bare.replace(b",", b"")
    if len(bare) - len(brackets) > MOST_VALUES:
        raise Refused(f"it has more than {MOST_VALUES:,} values")
    for _ in range(DEEPEST):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    raise Refused(f"it is cut short, or nested over {DEEPEST} deep")


def _loads(data: bytes) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = loads(data.decode("utf-8"))
    except NoNumber as error:
        raise Refused(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"it is no JSON ({brief_list(str(error), 120)})") from None
    return content
