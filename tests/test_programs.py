"""A tool is known by what it says, wherever another of its name lies on PATH."""

from __future__ import annotations

from pathlib import Path

import pytest

import programs


def program(folder: Path, script: str) -> str:
    folder.mkdir()
    file = folder / "thing"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A program that fails, one that prints rubbish, and the one that is meant."""
    program(tmp_path / "a", "echo thing 9; exit 1")
    program(tmp_path / "b", "echo rubbish")
    program(tmp_path / "c", 'echo "thing 2 $1"')
    return ":".join(str(tmp_path / name) for name in ("none", "a", "b", "c"))


def test_others_are_passed_over(path: str, tmp_path: Path) -> None:
    found = programs.find("thing", "--version", says="thing", path=path)
    assert found == programs.Tool(f"{tmp_path}/c/thing", f"{tmp_path}/c/thing: thing 2 --version")


def test_what_was_found_instead_is_told(path: str, tmp_path: Path) -> None:
    found = programs.find("thing", "--version", says="thing 3", path=path)
    assert not found
    for said in ("a/thing answers 'exit code 1'", "b/thing answers 'rubbish'", "c/thing answers"):
        assert said in found.said
    assert "no such program" in programs.find("thing", says="", path=str(tmp_path)).said


def test_browser_of_either_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert programs.browser() is None
    assert "chromium: that of Playwright" in programs.report()[1]
    for name in ("chromium-browser", "chromium"):  # the second comes first where both are
        (tmp_path / name).touch(0o755)
        assert programs.browser() == str(tmp_path / name)
        assert f"chromium: {tmp_path / name}," in programs.report()[1]


def test_version_or_what_was_said_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    podman = tmp_path / "podman"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "SBIN", str(tmp_path))
    for script, told in (
        ("echo podman version 4.3.1, build 7", f"podman: {podman} (4.3.1)"),
        ("echo rubbish", f"podman: {podman} (answers 'rubbish')"),
        ("exit 3", f"podman: {podman} (answers 'exit code 3')"),
    ):
        podman.write_text(f"#!/bin/sh\n{script}\n")
        podman.chmod(0o755)
        assert told in programs.report()[0]
