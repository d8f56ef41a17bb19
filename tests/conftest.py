"""Fixtures that several tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import programs
import properties
from helpers import Answers, environ
from jaxpad.core.results import CheckResult
from jaxpad.smoke import collection
from jaxpad.smoke.child import run_file
from lanes import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_protocol,
    pytest_runtest_teardown,
)
from properties import pytest_sessionstart
from slurm_cluster import slurm, slurm_of_session

__all__ = [
    "answers",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_protocol",
    "pytest_runtest_teardown",
    "pytest_sessionstart",
    "slurm",
    "slurm_of_session",
]
# What is started in the background ignores Ctrl-C, and under nohup a hang-up; tests send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
properties.register()  # before any test is read: settings are taken then


def pytest_report_header() -> list[str]:
    """Which programs these tests use, and how property tests draw."""
    drawn = properties.header()
    return [*programs.report(), *([drawn] if drawn else [])]


@pytest.fixture
def answers(tmp_path: Path) -> Answers:
    """Runs one check file given as text; its results by check name."""

    def run(text: str, limit: float = 60.0) -> dict[str, CheckResult]:
        (tmp_path / "test_it.py").write_text(text)
        work = tmp_path / "work"
        work.mkdir()
        checks = collection.collect(tmp_path)
        found = run_file(checks, environ(), work, limit, started=lambda _: None)
        return {result.name: result for result in found}

    return run
