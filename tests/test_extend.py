"""docs/extend.md: its files, written into a copy of the checkout, do what the page says."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import nvml_double as double
from helpers import HOME, SmokeRun, environ, smoke_argv

PAGE = (HOME / "docs/extend.md").read_text()
PARTS = ("configs", "docker", "jaxpad", "smoke_tests", "tests", "tools")
FILES = ("pyproject.toml", "tasks.py")
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_ADDED = " (at its end)"


@dataclass(frozen=True)
class Step:
    """One command of the page and the lines it prints there."""

    section: str
    words: str
    lines: tuple[str, ...]


def sections() -> dict[str, str]:
    """The text of each heading."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def files() -> dict[str, str]:
    """The files of the page, by title."""
    return {title: text for _, title, text in _BLOCK.findall(PAGE) if title}


def steps() -> list[Step]:
    """Every command behind a `$`, with what follows it up to the next."""
    return [
        Step(section, words, tuple(filter(None, lines.split("\n"))))
        for section, text in sections().items()
        for kind, _, block in _BLOCK.findall(text)
        if kind == "console"
        for words, _, lines in (part.partition("\n") for part in block.split("$ ")[1:])
    ]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with the files of the page in it."""
    home = tmp_path_factory.mktemp("extend") / "checkout"
    for part in PARTS:
        shutil.copytree(HOME / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(HOME / name, home)
    for title, text in files().items():
        place = home / title.removesuffix(_ADDED)
        assert place.exists() == title.endswith(_ADDED), title
        place.write_text((place.read_text() if place.exists() else "") + text)
    return home


@pytest.fixture(scope="module")
def variables(checkout: Path) -> dict[str, str]:
    """`jaxpad`, `python` and a fake nerdctl on PATH, all of the copy."""
    programs = checkout.parent / "bin"
    programs.mkdir()
    bodies = {
        "python": f'exec {shlex.quote(sys.executable)} "$@"',
        "jaxpad": f'exec {shlex.quote(sys.executable)} -m jaxpad "$@"',
        "nerdctl": "exit 0",
    }
    for name, body in bodies.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return environ(PYTHONPATH=str(checkout), PATH=path, JAX_PLATFORMS="cpu", COLUMNS="200")


def run(words: str, home: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", words], cwd=home, env=variables, capture_output=True, text=True
    )


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("step", steps(), ids=lambda step: step.words[:60])
def test_command_says_so(step: Step, checkout: Path, variables: dict[str, str]) -> None:
    done = run(step.words, checkout, variables)
    said = squeezed(done.stdout + done.stderr)
    assert step.lines, "the page shows nothing of it"
    assert done.returncode == (1 if "/nowhere" in step.words else 0), said
    for line in step.lines:
        parts = [re.escape(squeezed(part)) for part in line.split("…")]
        assert re.search(r".*?".join(parts), said), f"{line!r} is not in: {said}"


def test_gpu_is_recognised_by_nvml(checkout: Path, tmp_path: Path) -> None:
    """The double's desktop GPU, made a 4080, is told in the report as the page's."""
    changes = {"0.Name": "NVIDIA GeForce RTX 4080", "0.PciInfo.pciDeviceId": 0x270410DE}
    found = double.environ("rtx-4090", changes) | {"PYTHONPATH": str(checkout)}
    argv = smoke_argv(tmp_path, "--platform", "cpu", "-k", "test_answers")
    done = subprocess.run(argv, cwd=checkout, env=found, capture_output=True, text=True)
    report = SmokeRun(done.returncode, done.stderr, _json(tmp_path / "smoke.json"))
    assert [gpu["description"] for gpu in report.report["gpus"]] == ["rtx-4080"], done.stderr


def _json(file: Path) -> dict[str, object]:
    import json

    found: dict[str, object] = json.loads(file.read_text())
    return found


def test_check_fails_below_its_bound(checkout: Path, tmp_path: Path) -> None:
    bounds = tmp_path / "own.toml"
    bounds.write_text("checkpoint_least = 1e9\n")
    argv = smoke_argv(tmp_path / "out", "--platform", "cpu", "-k", "storage")
    given = environ(PYTHONPATH=str(checkout), CHECKPOINTS=str(tmp_path))
    done = subprocess.run(
        [*argv, "--thresholds", str(bounds)], cwd=checkout, env=given, capture_output=True
    )
    assert done.returncode == 1
    [check] = SmokeRun(1, "", _json(tmp_path / "out/smoke.json")).report["checks"]
    assert check["remedy"] == "write to a local disk"
    assert check["measurements"][0]["gate"] == "at least 1e+09"


def test_files_keep_the_style(checkout: Path) -> None:
    """`invoke lint` on the page's files: ruff's rules and its layout."""
    written = [str(checkout / name) for name in files() if name.endswith(".py")]
    for words in (["check"], ["format", "--check"]):
        argv = [sys.executable, "-m", "ruff", *words, *written]
        done = subprocess.run(argv, cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_tests_that_are_named_exist() -> None:
    """Each word of an `invoke test -k` of the page is in the name of a test file."""
    names = " ".join(file.stem for file in (HOME / "tests").glob("test_*.py"))
    said = re.findall(r"invoke test -k (?:\"([^\"]+)\"|([a-z_]+))", PAGE)
    words = {word for pair in said for word in "".join(pair).split()} - {"or", "and", "not"}
    assert words
    assert {word for word in words if word not in names} == set()


def test_every_example_has_a_command() -> None:
    assert {step.section for step in steps()} == sections().keys() - {"In a project of your own"}


def test_python_of_the_page_parses() -> None:
    for title, text in files().items():
        if title.endswith(".py"):
            assert ast.get_docstring(ast.parse(text)), title
