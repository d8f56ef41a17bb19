"""The `report` command: report.html and junit.xml from smoke.json and traces.json."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import report as reports
from jaxpad.errors import UsageError
from jaxpad.report._strict import loads

AGAIN = "take the file as jaxpad wrote it, or run the smoke suite again"


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    dir: str = "smoke-report"


def report_command(options: Options) -> int:
    """Write the page and return 0, whatever the verdict: nothing was checked.

    Raises UsageError for a folder without smoke.json, and for a file that is damaged or of
    another schema.
    """
    folder = Path(options.dir)
    report = reports.from_json(_read(folder / "smoke.json"))
    traces = folder / "traces.json"
    trace = reports.traces_from_json(_read(traces)) if traces.exists() else None
    page = reports.write(report, folder, trace)["report.html"]
    sys.stderr.write(f"written: {page}\n")
    return 0


def _read(file: Path) -> Any:
    try:
        return loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no {file}; name the folder of a smoke run with --dir") from None
    except OSError as error:
        raise UsageError(f"cannot read {file} ({error.strerror}); name another folder") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        raise UsageError(f"{file} is damaged ({error}); {AGAIN}") from None
