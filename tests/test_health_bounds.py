"""The bounds: the shipped ones, a site's own, and mistakes in a file of them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import nvml_double as double
from helpers import HOME
from jaxpad import health
from jaxpad.core import bounds as core_bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import UsageError, Verdict
from test_health_machine import H100, SHOWN, first, seen


def test_shipped_bounds_are_used() -> None:
    folders = ("health", "gates", "multi", "fleet")
    files = [file for folder in folders for file in (HOME / "jaxpad" / folder).glob("*.py")]
    used = "".join(file.read_text() for file in files)
    assert [name for name in core_bounds.load() if f'"{name}"' not in used] == []
    assert all(bound.source and bound.why and bound.unit for bound in core_bounds.load().values())


def test_changed_bound_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("power_limit_least = 0.5\npcie_width_least = 0.25\n")
    bounds = core_bounds.load(file)
    snapshot = double.seen(H100)
    power = replace(snapshot.gpus[0].power, enforced_limit_watts=Reading(400.0))
    capped = first(seen(H100), power=power)
    found = health.judge(capped, health.describe(capped), bounds, SHOWN)
    one = next(each for each in found if each.name == "power")
    assert (one.verdict, one.bound) == (Verdict.PASS, "at least 350 W")
    assert one.source == f"{file}, instead of 1"
    assert len(core_bounds.overrides(bounds)) == 2
    assert core_bounds.overrides(core_bounds.load()) == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("power_limit = 1", "did you mean power_limit_least"),
        ("power_limit_least = 'x'", "expected a number"),
        ("power_limit_least = true", "expected a number"),
        ("power_limit_least = -1", "expected 0 or more"),
        ("power_limit_least = nan", "expected 0 or more"),
        (f"power_limit_least = {'9' * 400}", "too large"),
        ("power_limit_least", "not TOML"),
        ("[power_limit_least]\nvalue = 1", "expected a number"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_mistake_in_thresholds(tmp_path: Path, text: str | bytes, words: str) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match=re.escape(words)):
        core_bounds.load(file)


def test_no_thresholds_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        core_bounds.load(tmp_path / "none.toml")
