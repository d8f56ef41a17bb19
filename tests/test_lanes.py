"""What runs beside what, and what a lane leaves out."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from fnmatch import fnmatch

import pytest

import lanes
from helpers import HOME, environ
from jaxpad.commands.options import read
from jaxpad.core.results import UsageError
from tools import upkeep
from tools.options import OwnTestsOptions

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
    options = [*upkeep.test_options(2, quick=False, jax_only=False), "-v", *files]
    argv = [sys.executable, "-m", "pytest", "-p", "xdist", *options]
    done = subprocess.run(argv, cwd=HOME, env=environ(), capture_output=True, text=True)
    ran = re.findall(r"\[(gw\d)\] .* PASSED tests/(\w+).py", done.stdout)
    assert {file for _, file in ran} == {"test_verdict", "test_ci_time", "test_hostlist"}
    assert len(set(ran)) == 3, done.stdout
    assert len({worker for worker, _ in ran}) == 2


def test_a_number_of_workers_is_no_negative_one() -> None:
    with pytest.raises(UsageError, match="--workers must be a whole number from 0 on, got '-1'"):
        read(OwnTestsOptions, {"workers": "-1"})


@pytest.mark.parametrize(
    "slow", ["image/*", "test_slurm_cluster.py", "test_effects.py", "test_matrix.py"]
)
def test_durations_know_what_is_slow(slow: str) -> None:
    known = lanes.durations().items()
    assert any(fnmatch(lanes._file(name), slow) and s > lanes.QUICK_S for name, s in known)


def test_quick_starts_no_container_and_no_slurm() -> None:
    kept = collected("--quick", "tests")
    slow = ("image/test_image_run.py", "image/test_image_smoke.py", "test_slurm_cluster.py")
    assert not kept & set(slow)
    assert {"test_cli.py", "test_gates.py", "test_profiles_parse.py"} <= kept


def test_longest_begins_first() -> None:
    """Files in one row each, by the seconds of all their tests."""
    files = ["tests/test_verdict.py", "tests/test_profiles_render.py", "tests/test_hostlist.py"]
    argv = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    done = subprocess.run(argv, cwd=HOME, env=environ(), capture_output=True, text=True)
    names = [line.partition("::")[0] for line in done.stdout.splitlines() if "::" in line]
    rows = [name for name, _ in itertools.groupby(names)]
    long = dict.fromkeys(files, 0.0)
    for nodeid, seconds in lanes.durations().items():
        if nodeid.partition("::")[0] in long:
            long[nodeid.partition("::")[0]] += seconds
    assert rows == sorted(files, key=lambda name: -long[name])


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
