"""The lines that take a node out of service: for an admin to read and paste, never run here."""

from __future__ import annotations

import shlex

from jaxpad.errors import UsageError
from jaxpad.fleet._model import Node
from jaxpad.fleet._names import brief

SCHEDULERS = ("slurm", "kubernetes")


def line(node: Node, scheduler: str) -> str:
    """One line for a shell. Raises UsageError for another scheduler."""
    return shlex.join(argv(node, scheduler))


def argv(node: Node, scheduler: str) -> list[str]:
    """The command's words: `scontrol update …`, or `kubectl cordon …`."""
    if scheduler == "slurm":
        reason = f"Reason={plain_reason(node.drain)}"
        return ["scontrol", "update", f"NodeName={node.name}", "State=DRAIN", reason]
    if scheduler == "kubernetes":
        return ["kubectl", "cordon", node.name]
    raise UsageError(f"{scheduler!r} is no scheduler; give {' or '.join(SCHEDULERS)}")


def plain_reason(text: str) -> str:
    """A reason that Slurm keeps as it is: short, ASCII, no quotes, nothing a shell acts on.

    Whoever wrote the report wrote the reason, and it will be pasted.
    """
    kept = (letter if letter.isalnum() or letter in " .,:;/_%+()[]=-" else "_" for letter in text)
    ascii_only = "".join(kept).encode("ascii", "replace").decode()
    return brief(f"jaxpad: {ascii_only}", 200).encode("ascii", "replace").decode()
