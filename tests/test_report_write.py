"""The report's files, each whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers import quick
from jaxpad.core.results import Measurement, Report, UsageError
from jaxpad.report import from_json, redact, thin, to_junit, traces_from_json, write
from test_report_samples import FAILED, PASSED_CPU, SHAPES, TRACES, every_shape, suite

NAMES = ["junit.xml", "report.html", "smoke.json"]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@every_shape
def test_shape_is_written(report: Report, tmp_path: Path) -> None:
    paths = write(report, tmp_path / "new" / "folder", pictures=False)
    assert paths == {name: tmp_path / "new" / "folder" / name for name in paths}
    assert names_in(tmp_path / "new" / "folder") == NAMES


def test_content_is_the_reports(tmp_path: Path) -> None:
    paths = write(PASSED_CPU, tmp_path)
    assert from_json(json.loads(paths["smoke.json"].read_text())) == PASSED_CPU
    assert paths["junit.xml"].read_text() == to_junit(PASSED_CPU)


def test_umask_decides_who_reads(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        paths = write(PASSED_CPU, tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in paths.values()} == {0o640}


def full(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the disk takes `after` files and is full halfway through the next."""
    write_text, left = Path.write_text, iter(range(after))

    def limited(path: Path, text: str, **options: Any) -> int:
        if next(left, None) is not None:
            return write_text(path, text, **options)
        write_text(path, text[: len(text) // 2], **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", limited)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_failure_midway_keeps_the_old(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {path: path.read_bytes() for path in write(PASSED_CPU, tmp_path).values()}
    full(after, monkeypatch)
    with pytest.raises(UsageError, match=r"no space .* free \d+ KiB there, or name another"):
        write(SHAPES["failed"], tmp_path)
    assert {path: path.read_bytes() for path in old} == old
    assert names_in(tmp_path) == NAMES


def test_interrupt_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(PASSED_CPU, tmp_path)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("folder", ["/proc/jaxpad", "/sys/kernel", "/dev/null", "/dev/null/x"])
def test_unwritable_folder_is_one_sentence(folder: str) -> None:
    """Folders that root cannot write either: CI may run as root."""
    with pytest.raises(UsageError, match=r"^cannot write the report to /.*--out$") as caught:
        write(PASSED_CPU, Path(folder))
    assert "\n" not in str(caught.value)


def test_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(UsageError, match="cannot write the report"):
        write(PASSED_CPU, tmp_path)
    assert not [name for name in names_in(tmp_path) if name.startswith(".")]


WRITE_IN_4_KIB = """
import subprocess, sys
from pathlib import Path
from jaxpad.core.results import UsageError
from jaxpad.report import write
from test_report_samples import PASSED_CPU
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], check=True)
try:
    write(PASSED_CPU, folder)
except UsageError as error:
    sys.exit(str(error) if not list(folder.iterdir()) else "left something behind")
"""


def test_full_disk(tmp_path: Path) -> None:
    """A real one: a tmpfs of one page, mounted where only this child sees it."""
    unshare = shutil.which("unshare")
    own_mounts = [str(unshare), "--user", "--map-root-user", "--mount"]
    if subprocess.run([*own_mounts, "true"], capture_output=True).returncode:
        own_mounts = own_mounts[:1] + own_mounts[3:]
    if subprocess.run([*own_mounts, "true"], capture_output=True).returncode:
        pytest.skip("neither user namespaces nor root here: no file system to fill")
    child = [sys.executable, "-c", WRITE_IN_4_KIB, str(tmp_path)]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, here()))}
    done = subprocess.run([*own_mounts, *child], capture_output=True, text=True, env=environ)
    assert done.returncode == 1
    assert done.stderr.startswith(f"no space for the report in {tmp_path}: free ")


def here() -> tuple[Path, Path]:
    tests = Path(__file__).parent
    return tests, tests.parent


def test_quick_enough_to_write_often(tmp_path: Path) -> None:
    """The runner does this after each file. Bound 20 times above the usual, not a benchmark."""
    failing = replace(FAILED, output="x = Array([0., 1.])\n" * 400)
    report = replace(PASSED_CPU, checks=(*suite(), *[failing] * 10))
    quick(1.0, lambda: write(redact(report, user="ann", home="/home/ann"), tmp_path))


def test_trace_is_written_beside(tmp_path: Path) -> None:
    paths = write(SHAPES["hostile node"], tmp_path, TRACES["hostile node"], pictures=False)
    assert names_in(tmp_path) == [*NAMES, "traces.json"]
    found = traces_from_json(json.loads(paths["traces.json"].read_text()))
    assert found == thin(TRACES["hostile node"])


def test_trace_of_another_run_goes(tmp_path: Path) -> None:
    write(PASSED_CPU, tmp_path, TRACES["hostile node"])
    assert "traces.json" not in write(PASSED_CPU, tmp_path)
    assert names_in(tmp_path) == NAMES


def test_value_of_an_odd_type_costs_no_report(tmp_path: Path) -> None:
    odd = replace(FAILED, measurements=(Measurement("flag", True),))
    page = write(replace(PASSED_CPU, checks=(odd,)), tmp_path)["report.html"]
    assert "flag 1" in page.read_text()
