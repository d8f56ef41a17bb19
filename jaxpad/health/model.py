"""What the questions are asked of: a node, and each of its GPUs."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxpad.core.bounds import Bound, Bounds
from jaxpad.core.host import GpuEvidence
from jaxpad.core.results import Verdict
from jaxpad.core.text import printable as printable
from jaxpad.gpus import GpuDescription
from jaxpad.nvml import GpuState, Reading as Reading, Snapshot

MODERN = ("ampere", "ada", "hopper", "blackwell", "rubin")  # they remap rows; older retire pages
TIMES = 10  # as much as most peers have: a counter that is no chance any more
# GPUs of a chip or module with the CPU, in the system's memory: DGX Spark, Jetson.
_INTEGRATED = re.compile(r"\b(GB10|Jetson|Orin|Tegra|Thor|Xavier)\b|nvgpu", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What the machine shows beside the snapshot."""

    evidence: GpuEvidence = field(default_factory=lambda: GpuEvidence((), (), None))
    container: str | None = None  # the engine we run in
    bound_to: Mapping[str, str] = field(default_factory=dict)  # kernel driver by PCI bus id
    up_s: float = 0.0  # since boot, by the clock of the kernel's log
    asked_s: float | None = None  # for how long NVML was asked, once started
    unmanaged: bool = False  # NVSwitches on the PCI bus, and no fabric manager beside them

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
    def vgpu(self) -> bool:
        """A share of a GPU in a virtual machine: board, links and errors are the host's."""
        return self.state.modes.virtualisation.value == "vgpu"

    @property
    def described(self) -> bool:
        """Whether the driver should tell what a board of a known model has."""
        return self.model is not None and not self.vgpu and not self.integrated

    @property
    def integrated(self) -> bool:
        """A GPU without memory and slot of its own: both are the system's."""
        return _INTEGRATED.search(self.name) is not None

    def without(self, path: str, found: Reading[Any]) -> bool:
        """Whether a reading cannot be because an integrated GPU has no such thing: it says 0."""
        none = (found.reason or "").startswith("garbage: 0 ")
        return self.integrated and (none or path.startswith(("pcie.", "memory.")))

    def kept_from(self, found: Reading[Any]) -> bool:
        """Whether a reading is the parent's of a slice, of which a container is told no more."""
        return self.sliced and found.error == "NVMLError_NoPermission"

    def slowed_s(self, reason: str) -> float:
        """For how long a reason has held the clocks down since the driver was loaded."""
        found = self.state.throttle.slowed_ns.get(reason)
        return (found.value or 0) / 1e9 if found else 0.0

    @property
    def peers(self) -> list[Gpu]:
        """The GPUs of the same model here, itself among them."""
        return [other for other in self.node.gpus if other.kind == self.kind]

    @property
    def kind(self) -> str | None:
        names = self.state.identity
        return names.pci_device_id.value or names.name.value

    def usual(self, measure: Callable[[Gpu], float | None]) -> float:
        """The lower median over the peers that tell it, so that one of two is no measure."""
        told = [value for value in map(measure, self.peers) if value is not None]
        return statistics.median_low(told) if told else 0.0

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


def short(text: str, most: int = 60) -> str:
    """Printable, and cut where a name is longer than names are."""
    clean = printable(text)
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


# One question about a node or one of its GPUs and the answer, as plain data.

UNSUPPORTED = frozenset(
    {
        "NVMLError_NotSupported",
        "NVMLError_FunctionNotFound",
        "AttributeError",  # a nvidia-ml-py that is older than the call
        "not asked",
        "not told",
    }
)


@dataclass(frozen=True)
class Answer:
    """What a question found. `value` is the number behind `seen`, in `unit`, where there is one."""

    verdict: Verdict
    seen: str
    value: float | None = None
    unit: str = ""
    bound: str = ""  # what `value` is held to
    source: str = ""  # where the bound is from
    why: str = ""  # what the answer means
    remedy: str = ""  # what an admin does, in one sentence


@dataclass(frozen=True)
class Finding:
    """A question with its answer. `gpu` is NVML's index; None for what is the node's."""

    name: str
    question: str
    gpu: int | None
    uuid: str | None
    verdict: Verdict
    seen: str
    value: float | None = None
    unit: str = ""
    bound: str = ""
    source: str = ""
    why: str = ""
    remedy: str = ""


def passed(seen: str, **more: Any) -> Answer:
    return Answer(Verdict.PASS, seen, **more)


def failed(seen: str, remedy: str, **more: Any) -> Answer:
    return Answer(Verdict.FAIL, seen, remedy=remedy, **more)


def inconclusive(seen: str, remedy: str, **more: Any) -> Answer:
    return Answer(Verdict.INCONCLUSIVE, seen, remedy=remedy, **more)


def not_applicable(seen: str, **more: Any) -> Answer:
    return Answer(Verdict.NOT_APPLICABLE, seen, **more)


def absent(found: Reading[Any], what: str, *, expected: bool) -> Answer:
    """The answer where a reading has no value.

    Not applicable where the GPU need not have it and the driver says that it has not;
    else inconclusive: garbage, an error, or a number that this model should have.
    """
    if not expected and found.error in UNSUPPORTED:
        return not_applicable(f"this GPU does not tell its {what}")
    if found.error == "NVMLError_FunctionNotFound":
        return inconclusive(f"the driver is too old to tell the {what}", "update the NVIDIA driver")
    remedy = "compare with nvidia-smi -q; if it says the same, reset the GPU or reboot"
    return inconclusive(f"the {what} cannot be read: {found.reason}", remedy)


def held(value: float, unit: str, words: str, bound: Bound) -> dict[str, Any]:
    """The fields of an answer whose value is held to a bound; `words` says to what."""
    return {"value": value, "unit": unit, "bound": words, "source": bound.origin}


# Findings of several GPUs that say the same, told once.


def grouped(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings on several GPUs that read the same, together; the worst first."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        # What passes may differ in its number: one line is enough.
        told = "" if one.verdict is Verdict.PASS else one.seen
        groups.setdefault((one.name, one.verdict, told), []).append(one)
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
    return sorted(groups.values(), key=lambda same: order.index(same[0].verdict))


_ODD_ONES = 3


def together(same: Sequence[Finding]) -> str:
    """What a group saw: the words of most GPUs, then of each that differs, by its index.

    Where no words are those of most, the least and the largest number.
    """
    by_words: dict[str, list[Finding]] = {}
    for one in same:
        by_words.setdefault(one.seen, []).append(one)
    usual, *others = sorted(by_words.values(), key=len, reverse=True)
    if not others:
        return usual[0].seen
    if 2 * len(usual) > len(same):
        return f"{usual[0].seen}; {_each(others)}"
    numbers = sorted((one for one in same if one.value is not None), key=_number)
    if len(numbers) == len(same) and numbers[0].seen != numbers[-1].seen:
        return f"{_each([numbers[:1]])} to {_each([numbers[-1:]])}"
    return _each([usual, *others])


def _number(one: Finding) -> float:
    return one.value or 0.0


def _each(groups: Sequence[Sequence[Finding]]) -> str:
    told = [f"GPU {places(those)}: {those[0].seen}" for those in groups[:_ODD_ONES]]
    left = len(groups) - len(told)
    return "; ".join(told) + (f"; and {left} more that differ" if left else "")


def places(same: Iterable[Finding]) -> str:
    """The GPUs of a group: `0-3,6`; empty for the node."""
    runs: list[list[int]] = []
    for index in sorted(one.gpu for one in same if one.gpu is not None):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
