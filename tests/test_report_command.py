"""`jaxpad report`: the page from smoke.json and traces.json, the same bytes again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad.cli.fleet import report_command
from jaxpad.commands.machine import ReportOptions
from jaxpad.core.results import Report, UsageError
from jaxpad.report import write
from shared import written
from test_report_samples import SHAPES, every_shape, trace_of


def again(folder: Path) -> int:
    return report_command(ReportOptions(dir=folder))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@every_shape
def test_shape_is_rebuilt_to_the_byte(
    report: Report, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With its trace, where it has one: each chart is drawn twice, and is the same."""
    folder = shutil.copytree(written(tmp_path_factory, report), tmp_path / "report")
    before = contents(folder)
    assert ("traces.json" in before) is (trace_of(report) is not None)
    (folder / "report.html").unlink()
    (folder / "junit.xml").write_text("old")
    assert again(folder) == 0
    assert contents(folder) == before


SPOILT = {
    "no JSON": ("smoke.json", "{", "smoke.json is damaged"),
    "half a file": ("smoke.json", '{"schema": 2, "verdict": "pa', "smoke.json is damaged"),
    "another schema": ("smoke.json", '{"schema": 1}', "this report has schema 1"),
    "another file": ("smoke.json", "[]", "this report has schema None"),
    "NaN": ("smoke.json", '{"schema": NaN}', "it holds NaN, which is no number in JSON"),
    "infinite": ("smoke.json", '{"schema": 1e999}', "holds 1e999, which is too large a number"),
    "400 digits": ("traces.json", "9" * 400, "it holds a number of 400 digits"),
    "nested without end": ("smoke.json", "[" * 100_000, "smoke.json is damaged"),
    "traces of another schema": ("traces.json", '{"schema": 9}', "these traces have schema 9"),
    "no traces": ("traces.json", "\x00", "traces.json is damaged"),
}


@pytest.mark.parametrize(("name", "text", "sentence"), SPOILT.values(), ids=SPOILT)
def test_spoilt_file_is_one_sentence(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    write(SHAPES["passed on the CPU"], tmp_path)
    (tmp_path / name).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=sentence) as caught:
        again(tmp_path)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


def test_folder_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*smoke.json; name the folder"):
        again(tmp_path)


def test_no_text_at_all(tmp_path: Path) -> None:
    (tmp_path / "smoke.json").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is damaged"):
        again(tmp_path)


def test_command_line(tmp_path: Path) -> None:
    write(SHAPES["failed"], tmp_path)
    argv = [sys.executable, "-m", "jaxpad", "report", "--dir"]
    done = subprocess.run(
        [*argv, str(tmp_path)], env=environ(), cwd=HOME, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"written: {tmp_path}/report.html\n"
    assert json.loads((tmp_path / "smoke.json").read_text())["verdict"] == "fail"
    wrong = subprocess.run(
        [*argv, str(tmp_path / "x")], env=environ(), cwd=HOME, capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("jaxpad: there is no ")
