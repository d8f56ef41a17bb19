"""What each extra of the package brings, and a sentence where a command lacks one."""

from __future__ import annotations

import importlib.util

from jaxpad import paths
from jaxpad.errors import UsageError

# What a command imports of its extra in pyproject.toml. A report does without matplotlib.
_XLA = ("jax", "jaxlib", "numpy", "google.protobuf")
MODULES = {
    "smoke": (*_XLA, "pytest", "jaxtyping", "beartype", "pexpect"),
    "proof": _XLA,
    "tune": (*_XLA, "optuna", "matplotlib"),
}


def lack(command: str, extra: str, *modules: str) -> str:
    """What a command needs of an extra, in a sentence; empty where all is there.

    With `modules`, it needs those alone. Nothing is imported for it.
    """
    wanted = modules or MODULES[extra]
    lacking = next((module for module in wanted if not _there(module)), None)
    if lacking is None:
        return ""
    return f"{command} needs {lacking.replace('google.protobuf', 'protobuf')}: {install(extra)}"


def need(command: str, extra: str, *modules: str) -> None:
    """Raises UsageError where what `lack` looks for is not there."""
    if sentence := lack(command, extra, *modules):
        raise UsageError(sentence)


def install(extra: str) -> str:
    """The command that installs an extra, of the checkout where this is one."""
    checkout = (paths.HOME / "pyproject.toml").is_file()
    return f"pip install '{paths.HOME if checkout else 'jaxpad'}[{extra}]'"


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its package is not there, or is half there
        return False
