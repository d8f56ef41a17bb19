"""A file that is there whole or not at all, whoever reads it meanwhile."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from jaxpad.core.results import UsageError


def write_whole(file: Path, text: str) -> None:
    """Put the text in a file beside it, which then takes its place; everybody may read it.

    Raises OSError where that cannot be; what was there before stays, and nothing else.
    """
    # Not the file's own ending, lest a collector that goes by endings reads it unfinished.
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as unfinished:
            unfinished.write(text)
            unfinished.flush()
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


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
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_temporary(folder, name)) for name in contents}
        for name, file in files.items():
            file.write_text(contents[name], encoding="utf-8")
        for name, file in files.items():
            file.replace(folder / name)


@contextlib.contextmanager
def _temporary(folder: Path, name: str) -> Iterator[Path]:
    """A path beside the final one, gone afterwards; the user's umask decides who may read it."""
    path = folder / f".{name}.{os.getpid()}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


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


def write_textfile(content: str, file: Path) -> None:
    """Write the metrics whole or not at all: node_exporter may read at any moment.

    Raises UsageError for a file that the collector would not read or that cannot be written.
    """
    if file.suffix != ".prom":
        raise UsageError(f"--textfile {file}: node_exporter reads only names that end in .prom")
    try:
        write_whole(file, content)
    except OSError as error:
        raise UsageError(f"--textfile {file}: {error.strerror or error}; mend it") from None


# Temporary folders that do not stay: those of a process that was killed are swept later.

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
