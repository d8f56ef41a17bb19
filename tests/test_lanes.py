"""What runs beside what, and what a lane leaves out."""

from __future__ import annotations

import re
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


def test_workers_share_no_file() -> None:
    """As it is really run: every test of a file by one worker, several workers at work."""
    files = ["tests/test_verdict.py", "tests/test_ci_time.py", "tests/test_hostlist.py"]
    options = ["-n", "2", "--dist", "loadscope", "--no-loadscope-reorder", "-v", *files]
    argv = [sys.executable, "-m", "pytest", "-p", "xdist", *options]
    done = subprocess.run(argv, cwd=HOME, env=environ(), capture_output=True, text=True)
    ran = re.findall(r"\[(gw\d)\] .* PASSED tests/(\w+).py", done.stdout)
    assert {file for _, file in ran} == {"test_verdict", "test_ci_time", "test_hostlist"}
    assert len(set(ran)) == 3, done.stdout
    assert len({worker for worker, _ in ran}) == 2


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
