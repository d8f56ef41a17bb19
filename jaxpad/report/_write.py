"""A report's files, each replaced whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

from jaxpad.errors import UsageError
from jaxpad.nvml import Trace
from jaxpad.report._html import to_html
from jaxpad.report._json import from_json, to_json
from jaxpad.report._junit import to_junit
from jaxpad.report._thin import thin
from jaxpad.report._traces import traces_to_json
from jaxpad.results import Report

FULL = (errno.ENOSPC, errno.EDQUOT)


def write(
    report: Report, folder: Path, trace: Trace | None = None, *, pictures: bool = True
) -> dict[str, Path]:
    """Write smoke.json, traces.json, junit.xml and report.html; the path of each by its name.

    All are written in full before the first takes its name, so a reader sees a whole
    report at any time, and a run that is killed leaves the one before. Makes the
    folder. Redact first: this writes what it is given. Nothing is flushed to the disk:
    the promise is for readers and killed processes, not for a power cut.

    `trace` has its times in seconds after the run's start (see `shift`); it is thinned to
    some hundred rows a GPU. Without one there is no traces.json, and an older one goes.

    Raises UsageError if the folder cannot be written, or has no space.
    """
    trace = thin(trace) if trace else None
    contents = {"smoke.json": json.dumps(to_json(report), indent=1) + "\n"}
    if trace:
        compact = json.dumps(traces_to_json(trace), separators=(",", ":"))
        contents["traces.json"] = compact + "\n"
    settled = _settled(report)
    contents["junit.xml"] = to_junit(settled)
    contents["report.html"] = to_html(settled, trace, pictures=pictures)
    try:
        _replace_all(folder, contents)
    except OSError as error:
        raise _sentence(folder, contents, error) from error
    return {name: folder / name for name in contents}


def _settled(report: Report) -> Report:
    """The report as smoke.json tells it, so that the page can be made from that again.

    The two differ where JSON cannot say a thing: infinity, bytes that are no text.
    """
    try:
        return from_json(to_json(report))
    except UsageError:  # a value of a type the model does not have must not cost the report
        return report


def _replace_all(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_temporary(folder, name)) for name in contents}
        for name, file in files.items():
            file.write_text(contents[name], encoding="utf-8")
        for name, file in files.items():
            file.replace(folder / name)
        if "traces.json" not in contents:  # that of a run before tells of another run
            (folder / "traces.json").unlink(missing_ok=True)


@contextlib.contextmanager
def _temporary(folder: Path, name: str) -> Iterator[Path]:
    """A path beside the final one, gone afterwards; the user's umask decides who may read it."""
    path = folder / f".{name}.{os.getpid()}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _sentence(folder: Path, contents: dict[str, str], error: OSError) -> UsageError:
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
