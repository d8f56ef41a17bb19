"""Whole smoke runs on a node with a fault in it: `jaxpad smoke` over the double of NVML.

JAX computes on the CPU, since no GPU is there; the driver, sysfs and the kernel's log are
what the fault makes of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nvml_double as double
from helpers import HOME
from test_health_machine import Machine

IDLE = "idle-h100-sxm"
# Puts the checks on the driver to the machine in the folder of argv, and prints the report.
SMOKE = """
import json, os, sys
from pathlib import Path
from jaxpad import health, paths, report, runner
root, requested, *more = Path(sys.argv[1]), *sys.argv[2:]
files = ("test_health.py", *more, "test_throughput_gates.py", "test_watched.py")
wanted = [c for c in runner.collect(paths.SMOKE_TESTS) if c.file.name in files]
wanted += [c for c in runner.collect(paths.SMOKE_TESTS) if c.name == "test_platform_expected"]
roots = health.Roots(root / "sys", root / "dev", root / "kmsg", root)
plan = runner.Plan(tuple(wanted), dict(os.environ), requested=requested, roots=roots)
print(json.dumps(report.to_json(runner.run(plan))))
"""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a node: a scenario of the double, what sysfs shows, whether NVML is.

    `more` are check files that give the fault time to show.
    """

    scenario: str = IDLE
    changes: Mapping[str, Any] = field(default_factory=dict)
    lay: Callable[[Machine], None] = lambda machine: None
    library: bool = True
    requested: str = "cpu"
    more: tuple[str, ...] = ()


def run(fault: Fault) -> dict[str, Any]:
    """The report of a smoke run on that node, as in smoke.json."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        fault.lay(machine)
        environ = double.environ(fault.scenario, fault.changes)
        if not fault.library:
            environ |= {"LD_LIBRARY_PATH": folder}
        argv = [sys.executable, "-c", SMOKE, folder, fault.requested, *fault.more]
        done = subprocess.run(argv, env=environ, cwd=HOME, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
