"""A report's files, each replaced whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from jaxpad.errors import UsageError
from jaxpad.nvml import Trace
from jaxpad.report._files import replace_all
from jaxpad.report._html import to_html
from jaxpad.report._json import from_json, to_json
from jaxpad.report._junit import to_junit
from jaxpad.report._thin import thin
from jaxpad.report._traces import traces_to_json
from jaxpad.results import Report


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
    # The traces of a run before tell of another run.
    replace_all(folder, contents, gone=() if trace else ("traces.json",))
    return {name: folder / name for name in contents}


def _settled(report: Report) -> Report:
    """The report as smoke.json tells it, so that the page can be made from that again.

    The two differ where JSON cannot say a thing: infinity, bytes that are no text.
    """
    try:
        return from_json(to_json(report))
    except UsageError:  # a value of a type the model does not have must not cost the report
        return report
