"""What a workload is, as plain data; nothing here imports JAX before it is asked to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpad.core.results import UsageError

if TYPE_CHECKING:
    from jax.sharding import Mesh


@dataclass(frozen=True)
class Program:
    """A jitted function and its abstract arguments.

    `args` holds trees of `jax.ShapeDtypeStruct`, each with a sharding on the mesh that the
    program was made for.
    """

    jitted: Any
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Workload:
    """A reference JAX program: a function from a mesh to a program.

    `devices` is "partitions x hosts x devices per host", such as "1x2x8", as
    `jaxpad.schedule.aot.topology` takes it, `axes` the mesh's axes with the size of each, and
    `sources` the files whose text decides what the program is.
    """

    name: str
    description: str
    devices: str
    axes: Mapping[str, int]
    sources: tuple[Path, ...]
    build: Callable[[Mesh], Program] = field(repr=False, compare=False)

    @property
    def count(self) -> int:
        """How many devices the workload runs on."""
        return math.prod(int(part) for part in self.devices.split("x"))

    @property
    def per_host(self) -> int:
        """How many of them are in one host, where NVLink joins them."""
        return int(self.devices.rpartition("x")[2])

    def mesh(self, devices: Sequence[Any]) -> Mesh:
        """A mesh of these devices with the workload's axes, the last axis within a host.

        Raises UsageError where they are not as many as the workload wants.
        """
        import numpy as np
        from jax.sharding import Mesh

        if len(devices) != self.count:
            raise UsageError(
                f"{len(devices)} devices for the workload {self.name}, expected {self.count}; "
                f"give it a topology of {self.devices}"
            )
        shaped = np.asarray(devices, dtype=object).reshape(tuple(self.axes.values()))
        return Mesh(shaped, tuple(self.axes))

    def program(self, mesh: Mesh) -> Program:
        """The program for a mesh of `mesh()`'s axes, traced nowhere yet but for a user's own.

        Raises UsageError for a user's function that raises, does not trace, or returns
        something else than a jitted function and its abstract arguments.
        """
        return self.build(mesh)


# What a result about a workload is kept under.


def digest(workload: Workload) -> str:
    """SHA-256, in hexadecimal, of what the workload is: its name, devices, axes and source.

    Of jaxpad's own workloads that is the program's file and those it shares with others, of
    a user's own its module and all of the package that the module is in. Other packages
    which the program uses, JAX among them, are not in it.
    """
    files = [file.read_bytes() for file in dict.fromkeys(workload.sources)]
    said = {
        "name": workload.name,
        "devices": workload.devices,
        "axes": list(workload.axes.items()),
        "sources": [hashlib.sha256(text).hexdigest() for text in files],
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
