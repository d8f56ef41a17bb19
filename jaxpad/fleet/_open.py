"""A node's file read without trust: never followed, never waited for, never without end.

Whoever can write into a report folder may leave there a symbolic link to a secret, a FIFO
that blocks its reader, a device that never ends, or a file that grows while it is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from jaxpad.fleet._refused import Refused

SMOKE = "smoke.json"
LIMIT = 16 << 20  # bytes; a node of eight GPUs writes 0.3 MB
_SAFE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}
OURS = "let jaxpad write plain files in plain folders there"


def kind(mode: int) -> str:
    """What a mode says that an entry of a folder is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "of no known kind")


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
