"""Look at this machine: NVML in a child with a time limit, then what sysfs and /dev show."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxpad import host, nvml
from jaxpad.health._subject import Facts
from jaxpad.nvml import GpuState, Process, Reading, Snapshot
from jaxpad.nvml._ask import ask_module
from jaxpad.nvml._snapshot import unanswered

LIMIT_S = 7.0  # a hook must have decided within 10 s
HIDDEN = "<redacted>"


@dataclass(frozen=True)
class Roots:
    """Where to look; tests lay out a machine of their own."""

    sysfs: Path = Path("/sys")
    dev: Path = Path("/dev")
    kmsg: Path = Path("/dev/kmsg")
    root: Path = Path("/")  # for the marks that container engines leave


def look(
    roots: Roots | None = None,
    limit_s: float = LIMIT_S,
    environ: Mapping[str, str] | None = None,
) -> tuple[Snapshot, Facts]:
    """What NVML and the kernel say now. Raises nothing: a hang is ended after `limit_s`."""
    roots = roots or Roots()
    words = ("jaxpad.health", str(roots.sysfs), str(roots.kmsg))
    told = ask_module(words, limit_s, environ)
    found = told.map(lambda plain: nvml.from_plain(Snapshot, plain["snapshot"]))
    snapshot = found.value or unanswered(found.reason or "no answer", roots.sysfs, roots.kmsg)
    return snapshot, facts(roots, told.map(lambda plain: float(plain["asked_s"])).value)


def facts(roots: Roots, asked_s: float | None = None) -> Facts:
    """What the machine shows without NVML."""
    evidence = host.gpu_evidence(roots.sysfs, roots.dev)
    folder = roots.sysfs / "bus/pci/devices"
    drivers = {bus: folder / bus / "driver" for bus in evidence.pci}
    return Facts(
        evidence=evidence,
        container=host.container(roots.root),
        bound_to={bus: link.resolve().name for bus, link in drivers.items() if link.exists()},
        up_s=time.monotonic(),  # since boot, as the kernel's log counts
        asked_s=asked_s,
    )


def concealed(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the names of processes, and without what Xid lines say of them."""
    kernel = replace(
        snapshot.kernel,
        xids=snapshot.kernel.xids.map(lambda xids: tuple(replace(xid, text="") for xid in xids)),
    )
    return replace(snapshot, gpus=tuple(map(_nameless, snapshot.gpus)), kernel=kernel)


def _nameless(gpu: GpuState) -> GpuState:
    def hide(found: Reading[tuple[Process, ...]]) -> Reading[Any]:
        name: Reading[str] = Reading(HIDDEN)
        return found.map(lambda those: tuple(replace(each, name=name) for each in those))

    kinds = dataclasses.asdict(gpu.processes).keys()
    hidden = {kind: hide(getattr(gpu.processes, kind)) for kind in kinds}
    return replace(gpu, processes=replace(gpu.processes, **hidden))
