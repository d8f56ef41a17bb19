"""A space tuned as a user would, with a short budget, and what must hold of what is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema

from helpers import HOME, environ
from jaxpad import profiles, tune
from jaxpad.core.results import Verdict
from jaxpad.tune.spaces import FOLDER

SHIPPED = FOLDER / "cpu.toml"


def tuned(workload: str, out: Path, measurements: int, space: Path = SHIPPED) -> dict[str, Any]:
    """What a run tells.

    All are compiled, as many measured as were asked for, and a winner is a proven one. A
    machine that is busy may end it without an answer, which is code 3 and no profile.
    """
    code, found = _run(workload, out, measurements, space)
    assert {one["fate"] for one in found["compiled"]} == {"compiles"}
    assert len(found["compiled"]) == tune.load_space(str(space), "cpu").size
    assert len(found["measured"]) == min(measurements, found["programs"] - 1) > 0
    assert all(one["startup"] > 0 for one in found["measured"])
    assert (out / "tune.html").stat().st_size > 10_000
    proven = [one for one in found["confirmed"] if one["ratio"] and one["ratio"]["low"] > 1]
    assert bool(proven) == (found["winner"] is not None)
    assert code == 0 or not proven
    profile = out / f"{workload.partition(':')[2]}.toml"
    assert profile.exists() == bool(proven)
    if proven:
        flags = {flag.name: flag.value for flag in profiles.load(profile).flags}
        assert flags == found["winner"]
    return found


def _run(workload: str, out: Path, measurements: int, space: Path) -> tuple[int, dict[str, Any]]:
    argv = [sys.executable, "-m", "jaxpad", "profile.tune", "--workload", workload, "--json"]
    more = ["--platform", "cpu", "--measurements", str(measurements), "--out", str(out)]
    more += [] if space == SHIPPED else ["--space", str(space)]
    done = subprocess.run([*argv, *more], env=environ(), cwd=HOME, capture_output=True, text=True)
    assert done.returncode in (0, Verdict.INCONCLUSIVE.exit_code), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(found, json.loads(tune.SCHEMA.read_text()))
    return done.returncode, found
