"""What runs beside what, and what a lane leaves out."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch

import pytest

import lanes
from helpers import HOME, environ

FILES = sorted(str(file.relative_to(lanes.HERE)) for file in lanes.HERE.rglob("test_*.py"))


def collected(*options: str) -> set[str]:
    """The tests that pytest would run, by their files below tests/."""
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-qq", *options]
    done = subprocess.run(argv, cwd=HOME, env=environ(), capture_output=True, text=True)
    assert done.returncode in (0, 5), done.stdout + done.stderr
    return {line.partition(":")[0].removeprefix("tests/") for line in done.stdout.splitlines()}


@pytest.mark.parametrize("pattern", [*lanes.ONCE, *lanes.SHARED])
def test_pattern_names_a_file(pattern: str) -> None:
    assert any(fnmatch(file, pattern) for file in FILES)


def test_durations_are_of_todays_files() -> None:
    assert {lanes._file(nodeid) for nodeid in lanes.durations()} <= set(FILES)
    assert all(value >= lanes.LEAST_S for value in lanes.durations().values())


def test_files_stay_together() -> None:
    assert lanes.group("tests/test_cli.py::test_a[1]") == lanes.group("tests/test_cli.py::test_b")
    assert lanes.group("tests/test_cli.py::test_a") != lanes.group("tests/test_gates.py::test_a")
    build, run = ("tests/image/test_image_build.py::t", "tests/image/test_image_run.py::t")
    assert lanes.group(build) == lanes.group(run)


def test_name_comes_back_whole() -> None:
    """pytest-xdist appends the group to the name, which may hold its sign itself."""
    nodeid = "tests/test_cli.py::test_mail[a@b]"
    assert lanes._plain(f"{nodeid}@{lanes.group(nodeid)}") == nodeid
    assert lanes._plain(nodeid) == nodeid


def test_quick_leaves_out_what_is_slow() -> None:
    slow = max(lanes.durations().items(), key=lambda one: one[1])[0]
    path = slow.partition("::")[0]
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--quick", path],
        cwd=HOME,
        env=environ(),
        capture_output=True,
        text=True,
    )
    assert slow not in listed.stdout
    assert "deselected" in listed.stdout


def test_jax_only_keeps_what_jax_changes() -> None:
    kept = collected("--jax-only", "tests")
    assert not any(fnmatch(file, pattern) for file in kept for pattern in lanes.ONCE)
    assert {"test_aot.py", "test_effects.py", "test_flags_catalogue.py"} <= kept
