"""The `doctor` command: its table, its JSON, its exit codes, and a run on this machine."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from helpers import HOME, environ
from jaxpad.commands.machine import DoctorOptions as Options
from jaxpad.core.results import UsageError, Verdict, overall
from jaxpad.doctor import Finding, doctor, examination
from jaxpad.doctor.examination import QUESTIONS
from test_doctor_machine import Machine

NAMES = [question.name for question in QUESTIONS]
PASSED = Finding("clock", "Is the clock right?", Verdict.PASS, "it is", "")
FAILED = Finding("disk", "Is there room?", Verdict.FAIL, "no [red]", "free some")
SECRET = "http://ann:hunter2@proxy.example:3128"


def run(*options: str, **added: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "doctor", *options]
    return subprocess.run(argv, env=environ(**added), cwd=HOME, capture_output=True, text=True)


def table(*findings: Finding, width: int = 80) -> list[str]:
    out = io.StringIO()
    examination.show(findings, Console(file=out, width=width))
    return out.getvalue().splitlines()


def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command examine that machine."""
    monkeypatch.setattr(examination, "here", lambda *_: machine.host())


def test_this_machine() -> None:
    done = run("--json")
    said = json.loads(done.stdout)
    assert [finding["name"] for finding in said["findings"]] == NAMES
    assert said["verdict"] == overall(Verdict(one["verdict"]) for one in said["findings"])
    assert (done.returncode, done.stderr) == (Verdict(said["verdict"]).exit_code, "")


def test_usage_errors() -> None:
    assert run("--engine", "rocket").returncode == 2
    assert "unknown engine 'rocket': expected docker or podman" in run("--engine", "rocket").stderr
    with pytest.raises(UsageError, match="is no image"):
        doctor(Options(image="--privileged"))


@pytest.mark.parametrize(
    ("gpus", "version", "engine", "code"),
    [(0, None, True, 0), (1, "580.95.05", True, 0), (1, None, True, 1), (0, None, False, 1)],
)
def test_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    version: str | None,
    engine: bool,
    code: int,
) -> None:
    machine = Machine(tmp_path)
    machine.gpus(gpus, version)
    machine.toolkit()
    if engine:
        machine.docker()
    on(machine, monkeypatch)
    assert doctor(Options()) == code


def test_exit_code_inconclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    machine.docker()
    machine.write(".dockerenv")
    on(machine, monkeypatch)
    assert doctor(Options(json=True)) == 3


def test_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever an address with a password stands: the shell, docker's settings, an error."""
    machine = Machine(tmp_path)
    machine.docker_down(f"error during connect to {SECRET}: refused")
    machine.environ = {"HTTP_PROXY": SECRET, "DOCKER_HOST": "ssh://ann:hunter2@build:22"}
    on(machine, monkeypatch)
    for as_json in (True, False):
        doctor(Options(json=as_json))
        said = capsys.readouterr().out
        assert "hunter2" not in said
        assert "proxy.example" in said


def test_remedy_under_what_is_wrong() -> None:
    lines = [line.rstrip() for line in table(PASSED, FAILED)]
    assert lines[:3] == ["pass  clock  it is", "fail  disk   no [red]", f"{'':13}remedy: free some"]
    assert lines[-1].startswith("This host lacks something")


@pytest.mark.parametrize("width", [40, 100])
def test_table_keeps_to_the_width(width: int) -> None:
    long = Finding("disk", "?", Verdict.FAIL, "/a/very/long/path" * 20, "free some " * 20)
    lines = table(long, width=width)
    assert max(map(len, lines)) <= width
    assert sum(line.count("/path") for line in lines) <= 20


def test_page_names_every_question() -> None:
    page = (HOME / "docs/doctor.md").read_text()
    assert [name for name in NAMES if f"| {name} |" not in page] == []
