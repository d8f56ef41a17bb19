"""Data flows one way: a module imports only from its own row and the rows above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from helpers import HOME

# bootstrap is apart: it runs before anything is installed, and may use the standard library
# and host alone.
ROWS = (
    (
        "errors",
        "verdict",
        "results",
        "checks",
        "paths",
        "extras",
        "profiles",
        "gpus",
        "drivers",
        "bounds",
        "cluster",
        "hostlist",
        "textfile",
        "shares",
        "project",
        "whole_file",
        "pins",
        "core",
    ),
    ("host", "nvml", "flags", "recorder", "workloads"),
    ("devices", "platforms", "facts", "aot", "schedule"),
    (
        "throughput",
        "runner",
        "engines",
        "effects",
        "health",
        "survey",
        "gates",
        "multi",
        "fixtures",
    ),
    ("report", "containers", "matrix", "fleet", "tune"),
    ("stages",),
    ("slurm", "kubernetes"),
    (
        "smoke",
        "profile_commands",
        "upkeep",
        "docs",
        "docs_commands",
        "architecture",
        "site",
        "site_hook",
        "build",
        "launch",
        "smoke_in",
        "smoke_options",
        "smoke_slurm",
        "smoke_command",
        "smoke_tasks",
        "smoke_kubernetes",
        "pod_command",
        "image",
        "doctor",
        "flag_search",
        "counting",
        "health_command",
        "health_hook",
        "fleet_command",
        "fleet_tasks",
        "report_command",
        "report_tasks",
        "node_tasks",
        "multi_command",
        "multi_tasks",
        "nvml_record",
        "explain",
        "profile_matrix",
        "tune_shown",
        "profile_tune",
        "profile_tasks",
        "kernel",
        "kernel_tasks",
        "audit",
        "sbom",
        "supply_tasks",
        "licences",
        "audit_tasks",
        "tasking",
        "cli",
        "__main__",
    ),
    ("bootstrap",),
)
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
FILES = sorted((HOME / "jaxpad").rglob("*.py"))


def module(file: Path) -> str:
    """The top-level module or package of jaxpad that a file belongs to."""
    return file.relative_to(HOME / "jaxpad").parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """The modules of jaxpad that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "jaxpad":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxpad."):
            found.add(str(node.module).split(".")[1])
    return found & ROW.keys()


def test_every_module_has_a_row() -> None:
    assert {module(file) for file in FILES} - {"__init__"} == ROW.keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(HOME)))
def test_imports_from_above(file: Path) -> None:
    name = module(file)
    below = {other for other in imported(file) if name in ROW and ROW[other] > ROW[name]}
    assert not below


def test_bootstrap_needs_nothing_installed() -> None:
    assert imported(HOME / "jaxpad/bootstrap.py") == {"host"}
    assert imported(HOME / "jaxpad/host.py") == set()
