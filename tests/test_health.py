"""The `health` command: its options, its exit codes, its table and JSON."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from helpers import HOME, environ
from jaxpad import health
from jaxpad.cli import health as cli_health
from jaxpad.commands.machine import HealthOptions as Options
from jaxpad.core import bounds
from jaxpad.core.results import UsageError, Verdict
from jaxpad.health import Finding, Health
from test_health_machine import eight


@pytest.fixture
def h100(tmp_path: Path) -> dict[str, Any]:
    return eight(tmp_path)


def told(*findings: Finding, **more: Any) -> Health:
    """A check that found this."""
    return replace(Health(findings, 8, "580.95.05", seconds=0.25, unix_s=1.8e9), **more)


def finding(verdict: Verdict, name: str = "ecc", gpu: int | None = 0, **more: Any) -> Finding:
    fields = {"seen": "2 errors", "remedy": "reset it" if verdict is Verdict.FAIL else ""} | more
    return Finding(name, "Is it?", gpu, "GPU-1", verdict, **fields)


def run(*options: str, **added: str) -> subprocess.CompletedProcess[str]:
    """`jaxpad health` in a child of its own."""
    argv = [sys.executable, "-m", "jaxpad", "health", *options]
    return subprocess.run(argv, env=environ(**added), cwd=HOME, capture_output=True, text=True)


def test_this_machine() -> None:
    """Whatever it is, the code goes with the verdict and nothing is on stderr."""
    done = run("--json")
    said = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (Verdict(said["verdict"]).exit_code, "")


def test_json(h100: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_health.health_command(Options(json=True, expect=9), **h100) == 1
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (said["verdict"], said["gpus"], said["driver"]) == ("fail", 8, "580.95.05")
    wrong = [one for one in said["findings"] if one["verdict"] == "fail"]
    assert [(one["name"], one["value"], one["bound"]) for one in wrong] == [("count", 8.0, "9")]


def test_redacted_unless_asked(h100: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    cli_health.health_command(Options(json=True), **h100)
    hidden = capsys.readouterr().out
    assert '"uuid": "GPU-5c1a<redacted>"' in hidden
    for secret in ("python3", "5c1ab3", "165402301", "name=ann"):
        assert secret not in hidden
    cli_health.health_command(Options(json=True, no_redact=True), **h100)
    told = capsys.readouterr().out
    assert "GPU-5c1ab303-0d5e-4f6a-9b70-8d2e4c6fa103" in told
    assert "/usr/bin/python3" in told


def test_home_of_a_thresholds_file_is_hidden(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "own.toml"
    file.write_text("pcie_replays_most = 5\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    found = told(overrides=bounds.overrides(bounds.load(file)))
    assert cli_health.hidden(found).overrides[0].endswith("(~/own.toml, instead of 80)")


@pytest.mark.parametrize(
    "options",
    [
        Options(thresholds=Path("/nowhere/own.toml")),
        Options(textfile=Path("/nowhere/gpus.prom")),
        Options(textfile=Path("gpus.txt")),
        Options(nagios=True, json=True),
    ],
)
def test_usage_errors(
    h100: dict[str, Any], options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence; for Nagios it is UNKNOWN."""
    with pytest.raises(UsageError) as error:
        cli_health._run(options, **h100)
    assert "\n" not in str(error.value)
    capsys.readouterr()
    assert cli_health.health_command(replace(options, nagios=True), **h100) == 3
    assert re.fullmatch(r"JAXPAD UNKNOWN - [^|\n]+\n", capsys.readouterr().out)


def test_usage_error_is_2() -> None:
    for number in ("many", "-1", "٣"):
        done = run("--expect", number)
        assert done.returncode == 2
        assert done.stderr == (
            f"jaxpad: --expect must be a whole number of GPUs from 0 to 99999, got {number!r}\n"
        )


def test_usage_error_is_unknown_to_nagios() -> None:
    done = run("--nagios", "--expect", "many")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith("JAXPAD UNKNOWN - --expect must be a whole number of GPUs")


def test_usage_error_fails_no_hook() -> None:
    done = run("--hook", "prolog", "--expect", "many")
    assert (done.returncode, done.stdout) == (0, "")
    assert "--expect must be a whole number of GPUs" in done.stderr


def test_bug_of_ours_is_unknown(monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: Any, **__: Any) -> Health:
        raise ZeroDivisionError("division |\nby zero")

    monkeypatch.setattr(health, "check", broken, raising=False)
    assert cli_health.health_command(Options(nagios=True)) == 3
    out = capsys.readouterr().out
    assert out == "JAXPAD UNKNOWN - ZeroDivisionError: division / by zero\n"


def shown(found: Health, width: int = 100) -> list[str]:
    out = io.StringIO()
    cli_health.show(found, Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_verdict_first_remedies_last() -> None:
    bad = [finding(Verdict.FAIL, gpu=gpu) for gpu in (1, 2, 3, 6)]
    lines = shown(told(finding(Verdict.PASS), *bad, overrides=("a = 1 (own.toml)",)))
    assert lines[0].startswith("fail: ")
    assert lines[3].split() == ["fail", "ecc", "1-3,6", "2", "errors"]
    assert lines[-1] == "GPU 1-3,6 ecc: reset it"
    assert "changed bound: a = 1 (own.toml)" in lines


def passes(*seen: str, values: tuple[float, ...] = ()) -> list[Finding]:
    numbers = values or (None,) * len(seen)
    return [
        finding(Verdict.PASS, gpu=gpu, seen=words, value=value)
        for gpu, (words, value) in enumerate(zip(seen, numbers, strict=True))
    ]


@pytest.mark.parametrize(
    ("same", "words"),
    [
        (passes("x16", "x16"), "x16"),
        (passes("x16", "x16", "x8", "x16"), "x16; GPU 2: x8"),
        (passes("no", "yes", "no", "no", "yes"), "no; GPU 1,4: yes"),
        (passes("5 °C", "9 °C", "2 °C", values=(5, 9, 2)), "GPU 2: 2 °C to GPU 1: 9 °C"),
        (passes("a", "b"), "GPU 0: a; GPU 1: b"),
        (
            passes("a", "a", "a", "a", "a", "a", "b", "c", "d", "e"),
            "a; GPU 6: b; GPU 7: c; GPU 8: d; and 1 more that differ",
        ),
    ],
)
def test_what_differs_within_a_group_is_told(same: list[Finding], words: str) -> None:
    """Eight passes in one row hide no odd one."""
    assert health.together(same) == words
    row = next(line for line in shown(told(*same), 140) if line.startswith("pass "))
    assert row.endswith(words)


def test_not_applicable_on_some() -> None:
    """A question that makes sense on some GPUs names those where it does not."""
    found = told(finding(Verdict.PASS), finding(Verdict.NOT_APPLICABLE, gpu=3))
    assert shown(found)[-1].split()[-3:] == ["ecc", "(GPU", "3)"]


@pytest.mark.parametrize("width", [50, 120])
def test_table_keeps_to_the_width(width: int) -> None:
    long = finding(Verdict.FAIL, seen="[red]very long " * 30, remedy="do a lot " * 30)
    lines = shown(told(long), width)
    assert max(map(len, lines)) <= width
    assert sum(line.count("[red]") for line in lines) == 30


def test_page_names_every_question_and_option() -> None:
    page = (HOME / "docs/health.md").read_text()
    notes = {"persistence"}
    assert [
        q.name for q in health.QUESTIONS if f"| {q.name} |" not in page and q.name not in notes
    ] == []
    options = [field.name.replace("_", "-") for field in dataclasses.fields(Options)]
    assert [name for name in options if f"`--{name}" not in page] == []
