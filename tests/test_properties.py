"""Property tests are repeatable in CI, and new in the fuzz lane, which says how to repeat them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import properties
from helpers import HOME, environ

DRAWS = """
from hypothesis import given, settings, strategies as st

@settings(max_examples=20)
@given(st.integers())
def test_drawn(value):
    print("drawn", value)
"""
FAILS = """
from hypothesis import given, strategies as st

@given(st.integers())
def test_fails(value):
    assert value < 1000
"""


def drawn(folder: Path, *options: str, text: str = DRAWS, **added: str) -> str:
    """What pytest prints for a property test under this repository's profiles."""
    tests = (
        "from properties import header as pytest_report_header, pytest_sessionstart, register\n"
        "register()\n"
    )
    (folder / "conftest.py").write_text(tests)
    (folder / "test_it.py").write_text(text)
    plugins = ("-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider", "-s")
    argv = [sys.executable, "-m", "pytest", *plugins, "--rootdir", str(folder), *options, "."]
    variables = environ(PYTHONPATH=f"{HOME}:{HOME / 'tests'}", **added)
    done = subprocess.run(argv, cwd=folder, env=variables, capture_output=True, text=True)
    return done.stdout + done.stderr


def numbers(said: str) -> list[str]:
    return re.findall(r"drawn (-?\d+)", said)


def test_ci_draws_the_same_each_time(tmp_path: Path) -> None:
    first, second = drawn(tmp_path), drawn(tmp_path)
    assert len(set(numbers(first))) > 5
    assert numbers(first) == numbers(second)
    assert not (tmp_path / ".hypothesis" / "examples").exists()  # nothing is kept between runs


@pytest.mark.parametrize("chosen", ["variable", "option"])
def test_fuzz_draws_anew_and_again_by_its_seed(tmp_path: Path, chosen: str) -> None:
    options = ["--hypothesis-profile=fuzz"] if chosen == "option" else []
    added = {properties.PROFILE: properties.FUZZ} if chosen == "variable" else {}
    first, other = drawn(tmp_path, *options, **added), drawn(tmp_path, *options, **added)
    assert numbers(first) != numbers(other)
    told = re.search(r"again with (--hypothesis-seed=\d+)", first)
    assert told is not None
    assert numbers(drawn(tmp_path, *options, told[1], **added)) == numbers(first)


def test_failing_case_is_printed_to_be_kept(tmp_path: Path) -> None:
    for added in ({}, {properties.PROFILE: properties.FUZZ}):
        said = drawn(tmp_path, text=FAILS, **added)
        assert "value=1000" in said
        assert "@reproduce_failure" in said


def test_no_test_is_held_to_a_time() -> None:
    """A busy machine fails none, by no test's own settings either."""
    chosen = settings()
    assert settings.get_current_profile_name() in (properties.CI, properties.FUZZ)
    assert chosen.deadline is None
    assert HealthCheck.too_slow in chosen.suppress_health_check
    own = re.compile(r"\bsettings\([^)]*(deadline|derandomize|database)")
    files = sorted((HOME / "tests").rglob("test_*.py"))
    assert [file.name for file in files if own.search(file.read_text())] == []


def test_slow_examples_are_as_many_times_more_in_the_fuzz_lane() -> None:
    here = settings().max_examples
    assert properties.share(100) == here
    assert properties.share(10) == here // 10
    assert properties.share(1) >= 1
