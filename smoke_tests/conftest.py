"""Fixtures that every check may use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jaxpad import checks, facts as machine
from jaxpad.facts import Facts
from jaxpad.results import Rate


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """`measure("gemm", 812.0, "GFLOP/s", spread=3.1)` files a number with the check."""
    return checks.measurer(record_property)


@pytest.fixture
def rate(record_property: Callable[[str, object], None]) -> Callable[[Rate], None]:
    """`rate(Rate(...))` files how fast a program ran; test_throughput_gates.py judges it."""
    return checks.rater(record_property)


@pytest.fixture(scope="session")
def facts() -> Facts:
    """What is known of this machine and of how JAX came up on it."""
    return machine.for_check()
