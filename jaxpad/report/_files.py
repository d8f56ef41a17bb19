"""Files that are written together, each replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jaxpad.errors import UsageError

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
