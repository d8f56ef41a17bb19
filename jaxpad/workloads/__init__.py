"""Workloads: the reference JAX programs that flags are held to.

A workload is a function from a mesh to a jitted function and its abstract arguments; what
each is for, and how to give one's own, is in docs/workloads.md. JAX is imported with the
program and not before, so names are listed at once.
"""

from jaxpad.workloads.model import Program, Workload, digest, load, names

__all__ = ["Program", "Workload", "digest", "load", "names"]
