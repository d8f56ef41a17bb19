"""The report of a node, once its job has ended."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from jaxpad.verdict import Verdict

LATE_S = 10.0  # file systems that nodes share show a new file some seconds late
LARGEST = 64 << 20  # bytes
_OURS = ("smoke.json", "traces.json", "junit.xml", "report.html")


def clear(nodes: Path) -> None:
    """Take away the reports of an earlier run: they would be counted as this run's.

    `nodes` has one folder a node. Nothing else in them is touched.
    """
    for folder in nodes.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            for name in _OURS:
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds something that is not ours
                folder.rmdir()


def landed(folder: Path) -> Verdict | None:
    """The verdict in a node's report; None where there is none yet.

    Inconclusive where it cannot be read: `jaxpad.fleet` says why.
    """
    file = folder / "smoke.json"
    try:
        os.listdir(folder)  # noqa: PTH208 - makes a network file system look anew
        if file.stat().st_size > LARGEST:
            return Verdict.INCONCLUSIVE
        return Verdict(json.loads(file.read_text())["verdict"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Verdict.INCONCLUSIVE


def late(folders: Iterable[Path], wait_s: float = LATE_S) -> dict[Path, Verdict]:
    """The verdicts of reports that come within `wait_s` seconds."""
    end, missing = time.monotonic() + wait_s, set(folders)
    found: dict[Path, Verdict] = {}
    while missing:
        here = {folder: landed(folder) for folder in missing}
        found |= {folder: verdict for folder, verdict in here.items() if verdict}
        missing -= found.keys()
        if time.monotonic() > end:
            break
        time.sleep(0.5 if missing else 0)
    return found


def absence(folder: Path, log: Path, state: str) -> str:
    """Why a job that ended has left no report.

    The log is written by the node, too: where it is not there, the folder is not shared.
    """
    words = _last_line(log)
    if words:
        return f"its job ended ({state}) without a report; the last line of {log} is: {words}"
    return (
        f"its job ended ({state}) and {folder} has no report: --out must be on a file system that "
        "this machine and all nodes share"
    )


def _last_line(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
