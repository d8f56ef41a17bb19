"""Whole smoke runs on a node with a fault in it: `jaxpad smoke` over the double of NVML.

JAX computes on the CPU, since no GPU is there; the driver, sysfs and the kernel's log are
what the fault makes of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import nvml_double as double
from helpers import HOME
from jaxpad.core.results import Verdict
from jaxpad.health.clocks import FAULTS
from jaxpad.nvml.device import REASONS
from test_health_machine import Machine

IDLE = "idle-h100-sxm"
# Puts the checks on the driver to the machine in the folder of argv, and prints the report.
SMOKE = """
import json, os, sys
from pathlib import Path
from jaxpad import health, report
from jaxpad.core import paths
from jaxpad.smoke import collection, runner
root, requested, full, *files = Path(sys.argv[1]), *sys.argv[2:]
checks = collection.collect(paths.SMOKE_TESTS)
wanted = [c for c in checks if c.file.name in files]
wanted += [c for c in checks if full and c.name == "test_platform_expected"]
roots = health.Roots(root / "sys", root / "dev", root / "kmsg", root)
plan = collection.Plan(tuple(wanted), dict(os.environ), requested=requested, roots=roots)
print(json.dumps(report.to_json(runner.run(plan))))
"""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a node: a scenario of the double, what sysfs shows, whether NVML is.

    `more` are check files that give the fault time to show. `full`: with the checks that no
    fault of the driver changes while JAX is told to take the CPU, the platform's and the gates.
    """

    scenario: str = IDLE
    changes: Mapping[str, Any] = field(default_factory=dict)
    lay: Callable[[Machine], None] = lambda machine: None
    library: bool = True
    requested: str = "cpu"
    more: tuple[str, ...] = ()
    full: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        gates = ("test_throughput_gates.py",) if self.full else ()
        return ("test_health.py", *self.more, *gates, "test_watched.py")


@dataclass(frozen=True)
class Outcome:
    """What a user gets."""

    verdict: str  # of the check
    exit_code: int  # of the command
    reason: str
    remedy: str


@dataclass(frozen=True)
class Case:
    """A fault, how it is injected, and what must come of it."""

    fault: str
    how: str
    check: str
    verdict: Verdict
    remedy: str  # a word of it
    outcome: Callable[[], Outcome]
    node: str = ""  # of a whole run: the node that has this fault


WATCHED = ("test_gpus_stay", "test_no_slowdown", "test_counters_stay")
_nodes: dict[str, list[Fault]] = {}  # what each node of the whole runs has


def whole(
    fault: str, check: str, verdict: Verdict, remedy: str, *, node: str = "", **injected: Any
) -> Case:
    """A fault that a check of a whole run finds; faults of one `node` are there together.

    Exit code 1 follows from a check that fails, 3 says that no other check failed.
    """
    file = "test_watched.py" if check in WATCHED else "test_health.py"
    node = node or fault
    _nodes.setdefault(node, []).append(Fault(full=verdict is Verdict.INCONCLUSIVE, **injected))
    outcome = partial(_outcome, node, check)
    return Case(fault, "whole run", f"{file}::{check}", verdict, remedy, outcome, node)


def _outcome(node: str, check: str) -> Outcome:
    report = _reports()[node]
    found = next(one for one in report["checks"] if one["name"] == check)
    return Outcome(found["verdict"], report["exit_code"], found["reason"], found["remedy"])


def held_down(node: str) -> list[str]:
    """The remedies of what the node's readings show at any moment, and so in the run, too."""
    shown = [item for one in _nodes[node] for item in one.changes.items()]
    masks = [mask for name, mask in shown if name.endswith("CurrentClocksEventReasons")]
    names = [name for mask in masks for bit, name in REASONS.items() if mask & bit]
    return [FAULTS[name][1] for name in names if name in FAULTS]


@cache
def _reports() -> dict[str, dict[str, Any]]:
    """A whole run on every node, two at a time."""
    double.library()  # built once, before the threads want it
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(run, map(_together, _nodes.values()))
        return dict(zip(_nodes, found, strict=True))


def _together(faults: Sequence[Fault]) -> Fault:
    """All faults of a node at once: readings that differ, and what sysfs and the log show."""
    if len(faults) == 1:
        return faults[0]
    changes: dict[str, Any] = {}
    for one in faults:
        assert one == Fault(changes=one.changes, lay=one.lay, full=one.full), "only of readings"
        assert changes.keys().isdisjoint(one.changes), "two faults of one reading"
        changes |= one.changes

    def lay(machine: Machine) -> None:
        for one in faults:
            one.lay(machine)

    return Fault(changes=changes, lay=lay, full=any(one.full for one in faults))


def run(fault: Fault) -> dict[str, Any]:
    """The report of a smoke run on that node, as in smoke.json."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        fault.lay(machine)
        environ = double.environ(fault.scenario, fault.changes)
        if not fault.library:
            environ |= {"LD_LIBRARY_PATH": folder}
        asked = ("full" if fault.full else "", *fault.files)
        argv = [sys.executable, "-c", SMOKE, folder, fault.requested, *asked]
        done = subprocess.run(argv, env=environ, cwd=HOME, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
