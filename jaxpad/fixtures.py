"""Fixtures that every check may use, those of a project too: a plugin of pytest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jaxpad import checks
from jaxpad.core import bounds as configured
from jaxpad.core.bounds import Bounds
from jaxpad.core.results import Judgement, Rate
from jaxpad.machine import facts as machine, facts as node
from jaxpad.machine.facts import Facts, Survey


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """`measure("gemm", 812.0, "GFLOP/s", spread=3.1)` files a number with the check."""
    return checks.measurer(record_property)


@pytest.fixture
def rate(record_property: Callable[[str, object], None]) -> Callable[[Rate], None]:
    """`rate(Rate(...))` files how fast a program ran; test_throughput_gates.py judges it."""
    return checks.rater(record_property)


@pytest.fixture
def judgement(record_property: Callable[[str, object], None]) -> Callable[[Judgement], None]:
    """`judgement(Judgement(...))` files what came of a rate, for the report."""
    return checks.judge(record_property)


@pytest.fixture(scope="session")
def facts() -> Facts:
    """What is known of this machine and of how JAX came up on it."""
    return machine.for_check()


@pytest.fixture(scope="session")
def survey(facts: Facts) -> Survey:
    """What the driver said of the node before the checks."""
    if facts.folder is None:  # pytest by hand
        return node.look(os.environ)
    return node.survey_from_json((Path(facts.folder) / "survey.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def bounds(facts: Facts) -> Bounds:
    """What numbers are held to: the shipped bounds, and the user's own."""
    return configured.load(Path(facts.thresholds) if facts.thresholds else None)
