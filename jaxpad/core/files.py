"""Files: written whole or not at all, read without trust, temporary ones gone in the end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from jaxpad.core.results import UsageError


def write_whole(file: Path, text: str) -> None:
    """Put the text in a file beside it, which then takes its place; everybody may read it.

    Raises OSError where that cannot be; what was there before stays, and nothing else.
    """
    with _beside(file) as unfinished:
        with unfinished.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fchmod(out.fileno(), 0o644)
            os.fsync(out.fileno())
        unfinished.replace(file)


@contextlib.contextmanager
def _beside(file: Path) -> Iterator[Path]:
    """A new file beside the final one, gone afterwards; the user's umask decides who may read it.

    No other process has its name, whatever its process id: two containers may both be process 1.
    It is locked as long as its writer is there, and one that is not is removed by the next.
    """
    _sweep_beside(file)
    # Not the file's own ending, lest a collector that goes by endings reads it unfinished.
    path = file.with_name(f".{file.name}.{os.urandom(8).hex()}{_UNFINISHED}")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _lock(handle)
        yield path
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


_UNFINISHED = ".tmp"
_JUST_MADE_S = 2.0  # between its making and its lock


def _sweep_beside(file: Path) -> None:
    """Remove what killed writers of this file have left."""
    name = re.compile(rf"{re.escape(f'.{file.name}.')}[0-9a-f]{{16}}{re.escape(_UNFINISHED)}")
    with contextlib.suppress(OSError), os.scandir(file.parent) as found:
        for entry in found:
            if name.fullmatch(entry.name):
                _sweep_unfinished(entry.path)


def _sweep_unfinished(path: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.open(path, _SAFE | os.O_NOFOLLOW)
        try:
            told = os.fstat(handle)
            old = time.time() - told.st_mtime > _JUST_MADE_S
            if stat.S_ISREG(told.st_mode) and old and _lock(handle):
                Path(path).unlink()
        finally:
            os.close(handle)


# Files that are written together, each replaced whole or not at all.

FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_all(folder: Path, contents: Mapping[str, str], gone: Sequence[str] = ()) -> None:
    """Write each text under its name, and remove what is `gone`. Makes the folder.

    All are written in full before the first takes its name.

    Raises UsageError if the folder cannot be written, or has no space.
    """
    try:
        _replace_all(folder, contents)
        for name in gone:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _sentence(folder, contents, error) from error


def _replace_all(folder: Path, contents: Mapping[str, str]) -> None:
    for name in contents:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_beside(folder / name)) for name in contents}
        for name, file in files.items():
            file.write_text(contents[name], encoding="utf-8")
        for name, file in files.items():
            file.replace(folder / name)


def _sentence(folder: Path, contents: Mapping[str, str], error: OSError) -> UsageError:
    if error.errno in FULL:
        size = sum(map(len, contents.values())) // 1024 + 1
        return UsageError(
            f"no space for the report in {folder}: free {size} KiB there, "
            "or name another folder with --out"
        )
    return UsageError(
        f"cannot write the report to {folder} ({error.strerror}): "
        "name a folder that you can write with --out"
    )


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The folder, which is made, for this run's results alone, as long as the block lasts.

    By a lock on the folder (flock(2)), which ends with its process; a file system that has no
    locks, as some network file systems, tells no second run.

    Raises UsageError where another run holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _hold_writable(folder)
    except OSError as error:
        raise _sentence(folder, {}, error) from error
    try:
        if _lock(handle) is False:
            raise UsageError(
                f"another run is writing into {folder}: wait for its end, or name another "
                "folder with --out"
            )
        yield
    finally:
        os.close(handle)


def _hold_writable(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _lock(handle: int) -> bool | None:
    """Lock an open file or folder; False where another has the lock, None where none can be had."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


# Files from elsewhere, read without trust: never waited for, never without end.

LARGEST = 16 << 20  # bytes, where a file is not known to be smaller
_SAFE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


class NotPlain(OSError):
    """What is no plain file of a size that can be read; `strerror` says what it is."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EINVAL, what)


def kind(mode: int) -> str:
    """What a mode says that an entry of a folder is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "of no known kind")


def read_plain(path: str | os.PathLike[str], most: int = LARGEST, *, follow: bool = False) -> bytes:
    """The bytes of a plain file of `most` bytes at the most.

    Never waits, as for a FIFO, nor reads without end, as from a device. A symbolic link is
    read only where `follow` says so.

    Raises OSError for what is not there, NotPlain for what is no such file.
    """
    try:
        # Looked at before it is opened: opening alone makes some devices act.
        _hold_plain(Path(path).stat(follow_symlinks=follow), most)
        handle = os.open(path, _SAFE | (0 if follow else os.O_NOFOLLOW))
    except ValueError:  # a NUL in it
        raise NotPlain("no file can have this name") from None
    with os.fdopen(handle, "rb") as file:
        _hold_plain(os.fstat(handle), most)
        data = file.read(most + 1)
    if len(data) > most:
        raise NotPlain(_too_large(most))
    return data


def _hold_plain(found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotPlain(f"{kind(found.st_mode)}, not a plain file")
    if found.st_size > most:
        raise NotPlain(_too_large(most))


def _too_large(most: int) -> str:
    size = f"{most >> 20} MiB" if most >= 1 << 20 else f"{most >> 10} KiB"
    return f"larger than the {size} it may have"


# Folders that are used only where nobody else can write into them: what lies there is believed.


def not_ours(folder: Path) -> str:
    """Why a folder is not this user's alone, empty where it is; OSError where there is none.

    A symbolic link is none. docker/entrypoint has the same rule; tests/test_entrypoint.py holds
    the two to one table.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return f"{folder} is {kind(found.st_mode)}, not a folder"
    if found.st_uid != os.geteuid():
        return f"{folder} belongs to user {found.st_uid}, not to {os.geteuid()}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{folder} may be written by others: look through it, then chmod go-w"
    return ""


class NotOurs(PermissionError):
    """A folder that is another user's, or that others may write into; `strerror` says which."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)


def make_ours(folder: Path) -> None:
    """Make the folder and what lacks above it, for this user alone (mode 0700).

    Raises OSError where that cannot be; NotOurs for one that is there and is not.
    """
    above = [one for one in folder.parents if not one.exists()]
    for one in (*reversed(above), folder):
        with contextlib.suppress(FileExistsError):
            one.mkdir(mode=0o700)
    if why := not_ours(folder):
        raise NotOurs(why)


# Metrics for Prometheus, by way of node_exporter's textfile collector.
#
# https://prometheus.io/docs/instrumenting/exposition_formats/: no time stamps, as the
# collector takes none.

Sample = tuple[dict[str, str], float]
Metric = tuple[str, str, list[Sample]]  # name, what it says, samples


def text(prefix: str, metrics: Iterable[Metric]) -> str:
    """All metrics that have a sample, as gauges whose names begin with `prefix`."""
    return "".join(
        f"# HELP {prefix}_{name} {words}\n# TYPE {prefix}_{name} gauge\n"
        + "".join(f"{prefix}_{name}{_labels(labels)} {value!r}\n" for labels, value in samples)
        for name, words, samples in metrics
        if samples
    )


def _labels(labels: dict[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(quoted)}}}" if labels else ""


def _escaped(value: str) -> str:
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in value)
    return clean.replace("\\", "\\\\").replace('"', '\\"')


def require_textfile(file: Path) -> None:
    """Before anything runs: UsageError for a file that the collector would not read, or nowhere."""
    if file.suffix != ".prom":
        raise UsageError(f"--textfile {file}: node_exporter reads only names that end in .prom")
    if not file.parent.is_dir():
        raise UsageError(f"--textfile {file}: there is no folder {file.parent}; make it")


def write_textfile(content: str, file: Path) -> str:
    """Write the metrics whole or not at all: node_exporter may read at any moment.

    Returns why they could not be written, which changes no verdict; empty where they were.
    """
    try:
        write_whole(file, content)
    except OSError as error:
        return f"jaxpad: --textfile {file} cannot be written ({error.strerror or error})\n"
    return ""


# Temporary folders that do not stay: those of a process that was killed are swept later.

_ENDING = ".live"  # marks a folder as one of these
_NAME = re.compile(r"jaxpad-([a-z]+-)?[a-z0-9_]{8}\.live")  # with what `mkdtemp` makes up
_YOUNG_S = 2.0  # between its making and its lock a folder belongs to somebody


class Folder:
    """A new folder in the temporary one, gone with `close` or the end of a `with` block.

    It is locked as long as its process is there, which ends with that process however it ends;
    the next process that makes one removes what is not locked. Source: flock(2).
    """

    def __init__(self, what: str = "") -> None:
        """`what` it is for goes into its name. Raises OSError where none can be made."""
        import tempfile  # here, as shutil: what reads a file must be light

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
    if _lock(number):
        return number
    os.close(number)  # also on a file system that has no locks: nothing is swept there
    return None


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
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
