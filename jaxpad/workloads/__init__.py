"""Workloads: the reference JAX programs that flags are held to.

A workload is a function from a mesh to a jitted function and its abstract arguments; what
each is for, and how to give one's own, is in docs/workloads.md. JAX is imported with the
program and not before, so names are listed at once.
"""

from jaxpad.workloads._digest import digest
from jaxpad.workloads._load import load, names
from jaxpad.workloads._model import Program, Workload

__all__ = ["Program", "Workload", "digest", "load", "names"]
