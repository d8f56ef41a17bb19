"""Closed, full and abandoned streams, and any locale: no verdict changes, no traceback."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fleet_nodes import fails, healthy, put, report
from helpers import HOME, environ
from jaxpad.commands import COMMANDS
from tools.commands import COMMANDS as CHECKOUTS_OWN

LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PYTHON = f"{sys.executable} -m jaxpad"
# Where stdout and stderr go, in a shell's words.
STREAMS = {
    "reader gone": "| true",
    "head": "| head -n 1 >/dev/null",
    "full": ">/dev/full",
    "closed": ">&-",
    "stderr closed": "2>&- >/dev/null",
    "both closed": ">&- 2>&-",
    "all closed": "<&- >&- 2>&-",
}
SAID = {"full": "jaxpad: standard output cannot be written (No space left on device)\n"}


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of which one fails: a fleet's exit code is 1."""
    root = tmp_path_factory.mktemp("reports")
    healthy(root, [f"n{at}" for at in range(3)])
    put(root, "n3", report("n3", 2, fails("broken")))
    return root


def shell(
    line: str, tmp_path: Path, stream: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """`jaxpad LINE` with that stream; the code is jaxpad's own, whatever reads it."""
    script = f"{PYTHON} {line} {STREAMS[stream]}; exit ${{PIPESTATUS[0]}}"
    argv = ["bash", "-c", script]
    added = {"XDG_CACHE_HOME": str(tmp_path / "cache"), **variables}
    return subprocess.run(
        argv, env=environ(**added), cwd=HOME, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--help", 0),
        ("health", 0),
        ("health --json", 0),
        ("profile.list --json", 0),
        ("fleet --reports {reports} --out {out}", 1),
        ("fleet --reports {reports} --out {out} --json", 1),
        ("health --no-such", 2),
    ],
)
def test_stream_changes_no_code(
    line: str, code: int, stream: str, failing: Path, tmp_path: Path
) -> None:
    done = shell(line.format(reports=failing, out=tmp_path / "out"), tmp_path, stream)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "rror" not in done.stderr
    if not code:
        assert done.stderr == SAID.get(stream, "")


@pytest.mark.parametrize("command", [one.name for one in (*COMMANDS, *CHECKOUTS_OWN)])
def test_help_into_nothing(command: str, tmp_path: Path) -> None:
    done = shell(f"{command} --help", tmp_path, "closed")
    assert (done.returncode, done.stderr) == (0, "")


def test_smoke_keeps_its_verdict(tmp_path: Path) -> None:
    """A closed stderr, where all of a run is told."""
    line = f"smoke -k test_temporary --json --out {tmp_path / 'out'}"
    assert shell(line, tmp_path, "both closed").returncode == 0
    assert json.loads((tmp_path / "out/smoke.json").read_text())["verdict"] == "pass"
    assert shell(line, tmp_path, "full").returncode == 0


@pytest.mark.parametrize("stream", ["reader gone", "full", "both closed"])
def test_invoke_is_the_same(stream: str, tmp_path: Path) -> None:
    script = f"{sys.executable} -m invoke profile.list {STREAMS[stream]}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], env=environ(), cwd=HOME, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_files_and_pipes_are_utf_8_in_any_locale(tmp_path: Path) -> None:
    file = tmp_path / "größe.toml"
    file.write_text('description = "größer … als"\n', encoding="utf-8")
    argv = [sys.executable, "-m", "jaxpad", "profile.show", "--profile", str(file)]
    done = subprocess.run(argv, env=environ(**LOCALE), cwd=HOME, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "größe.toml: a file of yours" in done.stdout.decode("utf-8")
    argv[-1] = str(tmp_path / "fehlt-…")
    done = subprocess.run(argv, env=environ(**LOCALE), cwd=HOME, capture_output=True)
    assert done.returncode == 2
    assert "cannot be read" in done.stderr.decode("utf-8")


def test_suite_in_any_locale(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "jaxpad", "smoke", "-k", "static", "--out", str(tmp_path)]
    done = subprocess.run(argv, env=environ(**LOCALE), cwd=HOME, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    json.loads((tmp_path / "smoke.json").read_text(encoding="utf-8"))


def test_text_names_its_encoding() -> None:
    """Of what opens text the encoding is said: else it would be the locale's."""
    listed = subprocess.run(
        ["git", "ls-files", "jaxpad", "tools", "smoke_tests", "tasks.py"],
        cwd=HOME,
        capture_output=True,
        text=True,
    ).stdout.split()
    files = [HOME / name for name in listed if name.endswith(".py")]
    found = [f"{file.name}:{line}" for file in files for line in _unsaid(file)]
    assert found == []


def _unsaid(file: Path) -> list[int]:
    calls = (n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Call))
    return [call.lineno for call in calls if _is_text(call)]


def _is_text(call: ast.Call) -> bool:
    function = call.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    owner = getattr(getattr(function, "value", None), "id", "")
    modes = [one.value for one in call.args if isinstance(one, ast.Constant)]
    binary = any(isinstance(mode, str) and len(mode) < 4 and "b" in mode for mode in modes)
    said = any(word.arg == "encoding" for word in call.keywords)
    opens = name in ("read_text", "write_text", "open", "fdopen")
    return opens and not (said or binary or (owner == "os" and name == "open"))


def test_refusal_is_short_and_steers_no_terminal(tmp_path: Path) -> None:
    long = "x" * 100_000
    for word in (long, f"a/{long}", "\x1b[2J\x1b]0;title\x07\nsecond"):
        argv = [sys.executable, "-m", "jaxpad", "profile.show", "--profile", word]
        done = subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True)
        assert done.returncode == 2
        assert len(done.stderr) < 3000
        assert "\x1b" not in done.stderr
        assert "Traceback" not in done.stderr


def test_closed_stream_is_no_other_file(tmp_path: Path) -> None:
    """With 2 closed the next file that is opened would be number 2, and be printed into."""
    file = tmp_path / "metrics.prom"
    assert shell(f"health --textfile {file}", tmp_path, "all closed").returncode == 0
    assert all(line.startswith(("#", "jaxpad_")) for line in file.read_text().splitlines())
