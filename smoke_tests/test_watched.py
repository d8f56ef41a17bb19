"""Watched: did the GPUs stay well from the first check to the last?

The runner's sampler reads every GPU throughout the run (docs/nvml.md); the last file of the
suite, this one, judges what it saw, and asks the driver's counters once more.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jaxpad import checks, gates
from jaxpad.core.bounds import Bounds
from jaxpad.machine import facts as node
from jaxpad.machine.facts import Facts, Survey
from jaxpad.nvml import Trace
from jaxpad.smoke import runner


@pytest.fixture(scope="module")
def trace(facts: Facts, survey: Survey) -> Trace:
    """What the sampler has seen of the run until now."""
    if not survey.snapshot.gpus:
        checks.not_applicable("the driver lists no GPU: see test_health.py")
    found = runner.trace(Path(facts.folder)) if facts.folder else None
    if found is None:
        raise checks.Inconclusive("nothing was sampled", "run it with jaxpad smoke")
    return found


def test_gpus_stay(trace: Trace) -> None:
    """Every GPU answered the driver throughout the run, with numbers that can be."""
    gates.stayed(trace).give()


def test_no_slowdown(trace: Trace, bounds: Bounds) -> None:
    """Neither heat nor the power supply held clocks down during the run."""
    gates.slowed(trace, bounds).give()


def test_counters_stay(survey: Survey, bounds: Bounds) -> None:
    """No memory error, no Xid and few errors of links came during the run."""
    if not survey.snapshot.gpus:
        checks.not_applicable("the driver lists no GPU: see test_health.py")
    now = node.look(os.environ).snapshot
    replays, errors = bounds["pcie_replays_most"].value, bounds["nvlink_errors_most"].value
    gates.counters(survey.snapshot, now, replays, errors).give()
