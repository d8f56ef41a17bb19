"""What the questions are asked of: a node, and each of its GPUs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxpad.bounds import Bound, Bounds
from jaxpad.gpus import GpuDescription
from jaxpad.host import GpuEvidence
from jaxpad.nvml import GpuState, Reading, Snapshot

MODERN = ("ampere", "ada", "hopper", "blackwell", "rubin")  # they remap rows; older retire pages


@dataclass(frozen=True)
class Facts:
    """What the machine shows beside the snapshot."""

    evidence: GpuEvidence = field(default_factory=lambda: GpuEvidence((), (), None))
    container: str | None = None  # the engine we run in
    bound_to: Mapping[str, str] = field(default_factory=dict)  # kernel driver by PCI bus id
    up_s: float = 0.0  # since boot, by the clock of the kernel's log
    asked_s: float | None = None  # for how long NVML was asked, once started

    @property
    def gpu(self) -> bool:
        """Whether the machine shows an NVIDIA GPU."""
        return bool(self.evidence)


@dataclass(frozen=True)
class Node:
    """A machine, and what is wanted of it."""

    snapshot: Snapshot
    described: tuple[GpuDescription | None, ...]
    bounds: Bounds
    facts: Facts
    expect: int | None = None  # GPUs that should be here
    idle: bool = False  # whether nobody should be at work

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """Each GPU that NVML lists."""
        pairs = zip(self.snapshot.gpus, self.described, strict=True)
        return tuple(Gpu(state, model, self) for state, model in pairs)


@dataclass(frozen=True)
class Gpu:
    """One GPU; `model` is None for one that configs/gpus does not describe."""

    state: GpuState
    model: GpuDescription | None
    node: Node

    def bound(self, name: str) -> Bound:
        return self.node.bounds[name]

    @property
    def name(self) -> str:
        return self.state.identity.name.value or ""

    @property
    def bus(self) -> str | None:
        return self.state.identity.pci_bus_id.value

    @property
    def architecture(self) -> str | None:
        """By the description, else by the driver."""
        told = self.state.identity.architecture.value
        return self.model.architecture if self.model else told

    @property
    def consumer(self) -> bool:
        """A board whose error correction is optional: GeForce, and RTX for workstations."""
        return "GeForce" in self.name or "RTX" in self.name or "TITAN" in self.name

    @property
    def sliced(self) -> bool:
        """Whether the GPU is the parent of MIG devices."""
        return bool(self.state.mig.enabled.value)

    @property
    def at_work(self) -> bool:
        """Known to be in use: not idle by the driver's own account."""
        reasons = self.state.throttle.reasons.value
        return reasons is not None and "gpu_idle" not in reasons


def readings(value: Any, path: str = "") -> Iterator[tuple[str, Reading[Any]]]:
    """Every reading inside, with the way to it: `temperature.gpu_celsius`."""
    if isinstance(value, Reading):
        yield path, value
        value = value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, Reading):
        for each in dataclasses.fields(value):
            yield from readings(getattr(value, each.name), f"{path}.{each.name}".lstrip("."))
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from readings(entry, f"{path}.{name}")
    elif isinstance(value, tuple):
        for place, entry in enumerate(value):
            yield from readings(entry, f"{path}.{place}")


def printable(text: str) -> str:
    """`text` in one line that is safe to print: no controls, escapes or direction overrides."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def short(text: str, most: int = 60) -> str:
    """Printable, and cut where a name is longer than names are."""
    clean = printable(text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"
