"""Temporary folders that do not stay: those of a process that was killed are swept later."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path
from types import TracebackType

_ENDING = ".live"  # marks a folder as one of these
_NAME = re.compile(r"jaxpad-([a-z]+-)?[a-z0-9_]{8}\.live")  # with what `mkdtemp` makes up
_YOUNG_S = 60.0  # between its making and its lock a folder belongs to somebody


class Folder:
    """A new folder in the temporary one, gone with `close` or the end of a `with` block.

    It is locked as long as its process is there, which ends with that process however it ends;
    the next process that makes one removes what is not locked. Source: flock(2).
    """

    def __init__(self, what: str = "") -> None:
        """`what` it is for goes into its name. Raises OSError where none can be made."""
        _sweep(tempfile.gettempdir())
        self._folder = tempfile.TemporaryDirectory(
            prefix=f"jaxpad-{what}-" if what else "jaxpad-",
            suffix=_ENDING,
            ignore_cleanup_errors=True,
        )
        self.path = Path(self._folder.name)
        self._lock = _locked(self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it and all in it; a second call does nothing."""
        self._folder.cleanup()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None where another has it, or none can be had."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also a file system that has no locks: nothing is swept there
        os.close(number)
        return None
    return number


@functools.cache  # once a process and folder
def _sweep(place: str) -> None:
    """Remove what killed processes of this user have left in `place`."""
    with contextlib.suppress(OSError), os.scandir(place) as found:
        for entry in found:
            if _NAME.fullmatch(entry.name):
                _sweep_one(Path(entry.path))


def _sweep_one(folder: Path) -> None:
    with contextlib.suppress(OSError):
        told = folder.lstat()
        young = time.time() - told.st_mtime < _YOUNG_S
        if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.getuid() or young:
            return
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
