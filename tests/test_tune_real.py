"""The shipped CPU space tuned for two workloads, as a user would, with a short budget."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from helpers import HOME, environ
from jaxpad import profiles, tune
from jaxpad.verdict import Verdict

MEASUREMENTS = 4


def tuned(workload: str, out: Path) -> tuple[int, dict[str, Any]]:
    argv = [sys.executable, "-m", "jaxpad", "profile.tune", "--workload", workload, "--json"]
    more = ["--platform", "cpu", "--measurements", str(MEASUREMENTS), "--out", str(out)]
    done = subprocess.run([*argv, *more], env=environ(), cwd=HOME, capture_output=True, text=True)
    assert done.returncode in (0, Verdict.INCONCLUSIVE.exit_code), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(tune.SCHEMA.read_text()))
    return done.returncode, found


@pytest.mark.parametrize("workload", ["mlp", "transformer"])
def test_shipped_space(workload: str, tmp_path: Path) -> None:
    """All are compiled, as many measured as were asked for, and a winner is a proven one.

    A machine that is busy may end it without an answer, which is code 3 and no profile.
    """
    code, found = tuned(f"benchmarks.steps:{workload}", tmp_path)
    assert {one["fate"] for one in found["compiled"]} == {"compiles"}
    assert len(found["compiled"]) == tune.load_space("cpu", "cpu").size
    assert 16 < found["programs"] < len(found["compiled"])
    assert len(found["measured"]) == MEASUREMENTS
    assert all(one["startup"] > 0 for one in found["measured"])
    assert (tmp_path / "tune.html").stat().st_size > 10_000
    proven = [one for one in found["confirmed"] if one["ratio"] and one["ratio"]["low"] > 1]
    assert bool(proven) == (found["winner"] is not None)
    assert code == 0 or not proven
    profile = tmp_path / f"{workload}.toml"
    assert profile.exists() == bool(proven)
    if proven:
        flags = {flag.name: flag.value for flag in profiles.load(profile).flags}
        assert flags == found["winner"]
