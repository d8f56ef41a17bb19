"""What a process knows of the job: its place, its peers, and what they are held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad.bounds import Bounds
from jaxpad.host import GpuEvidence
from jaxpad.multi._disturb import Disturb
from jaxpad.multi._options import Wanted
from jaxpad.multi._place import Place
from jaxpad.multi._record import Identity
from jaxpad.multi._teller import Teller
from jaxpad.nvml import Driver
from jaxpad.platforms import Expectation


@dataclass(frozen=True)
class Peer:
    """What each process tells all others of itself."""

    rank: int
    node: str
    identity: Identity
    platform: str
    kind: str
    local_devices: int
    arrived: float
    memory: int  # bytes of a device that JAX may use; 0: not known


@dataclass(frozen=True)
class Job:
    """What is known before JAX starts."""

    place: Place
    wanted: Wanted
    expected: Expectation
    gpus: GpuEvidence
    driver: Driver
    bounds: Bounds
    local_devices: list[int] | None
    pairwise: bool
    out: Path
    environ: Mapping[str, str]
    disturb: Disturb


@dataclass(frozen=True)
class World:
    """The same, with the peers and the one to tell."""

    job: Job
    tell: Teller
    peers: tuple[Peer, ...] = field(default_factory=tuple)

    @property
    def nodes(self) -> dict[int, str]:
        """Node by rank."""
        return {peer.rank: peer.node for peer in self.peers}

    @property
    def gpu(self) -> bool:
        """All compute on GPUs."""
        return all(peer.platform == "gpu" for peer in self.peers)
