"""What the driver says of the node before the checks, and which CUDA device is which GPU.

The runner looks once, before JAX is started, and leaves it as JSON for the checks: at that
moment nobody of ours is on the GPUs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from jaxpad import health, nvml
from jaxpad.bounds import Bounds
from jaxpad.gpus import GpuDescription
from jaxpad.health import Finding, Roots
from jaxpad.nvml import CudaDevice, Match, Reading, Snapshot

HIDING = ("CUDA_VISIBLE_DEVICES", "JAX_CUDA_VISIBLE_DEVICES")
NOT_ASKED: Reading[tuple[CudaDevice, ...]] = Reading(None, "not asked: NVML lists no GPU")


@dataclass(frozen=True)
class Survey:
    """A node: what NVML and the kernel say, what it shows without them, CUDA's own list.

    `hiding` is the variable that keeps GPUs from us, where one is set.
    """

    snapshot: Snapshot
    shown: health.Facts
    cuda: Reading[tuple[CudaDevice, ...]]
    hiding: str | None = None

    @cached_property
    def described(self) -> tuple[GpuDescription | None, ...]:
        """The description of each GPU that NVML lists; None for one that has none."""
        return health.describe(self.snapshot)

    @property
    def visible(self) -> frozenset[int]:
        """NVML's indices of the GPUs that are ours: all, unless a variable hides some.

        Without one, a GPU that CUDA does not list is broken, not somebody else's.
        """
        every = frozenset(gpu.index for gpu in self.snapshot.gpus)
        if self.hiding is None:
            return every
        ordinals = [device.ordinal for device in self.cuda.value or ()]
        found = frozenset(each.gpu.index for each in self.match(ordinals) if each.gpu)
        return found or every

    def match(self, ordinals: Sequence[int]) -> tuple[Match, ...]:
        """The GPU of each CUDA ordinal, by UUID or PCI bus id, never by index."""
        return nvml.match(ordinals, self.cuda, self.snapshot)

    def findings(self, bounds: Bounds, *, idle: bool = False) -> tuple[Finding, ...]:
        """What `jaxpad health` finds on the node and on the GPUs that are visible to us.

        A kernel log that we may not read is left out: users and containers seldom may, and
        `jaxpad health`, run as root, asks it.
        """
        xids = bounds["xid_hours_most"]
        if not self.snapshot.kernel.xids.known:
            bounds = {**bounds, xids.name: replace(xids, value=0)}
        found = health.judge(self.snapshot, self.described, bounds, self.shown, idle=idle)
        return health.about(found, self.visible)

    def to_json(self) -> str:
        return json.dumps(nvml.to_plain(self))


def from_json(text: str) -> Survey:
    """The survey that `Survey.to_json` wrote."""
    return nvml.from_plain(Survey, json.loads(text))


def look(environ: Mapping[str, str], roots: Roots | None = None, *, names: bool = False) -> Survey:
    """Look now, each library in a child with a time limit. Raises nothing.

    `names`: keep the names of processes, which may hold anything.
    """
    snapshot, shown = health.look(roots, health.LIMIT_S, environ)
    kept = snapshot if names else health.concealed(snapshot)
    cuda = nvml.cuda_devices(environ) if snapshot.gpus else NOT_ASKED
    return Survey(kept, shown, cuda, next(filter(environ.get, HIDING), None))
