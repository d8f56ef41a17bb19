"""What a rate can be at most, and from where that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxpad.bounds import Bound
from jaxpad.gates._subject import Subject
from jaxpad.gpus import Figure
from jaxpad.nvml import Reading

# GB/s of one lane in one direction after encoding: 8, 16, 32, 64 GT/s with 128b/130b, 5 GT/s
# with 8b/10b and less (PCI Express Base Specification; generation 6 counts flits of 242/256).
LANE = {1: 0.25, 2: 0.5, 3: 0.985, 4: 1.969, 5: 3.938, 6: 7.563}
PCI_SIG = "https://pcisig.com/specifications"
DERIVED = "derived from NVML: highest memory clock x 2 x bus width"
DATA_RATE = 2  # transfers a clock, as NVML counts memory clocks of HBM and GDDR


@dataclass(frozen=True)
class Peak:
    """In the rate's unit; `share` of it is this slice's, `least` of that must be reached.

    Not `confirmed`: the number is commonly given, or derived, and fails nobody.
    """

    whole: float
    least: Bound
    source: str
    confirmed: bool = True
    share: float = 1.0

    @property
    def value(self) -> float:
        return self.whole * self.share

    @property
    def gate(self) -> float:
        return self.value * self.least.value

    @property
    def told(self) -> str:
        """Where both numbers are from."""
        least = f"at least {self.least.value:g} {self.least.unit} ({self.least.origin})"
        return f"peak {self.source}; {least}"


def peak(subject: Subject) -> Peak | str:
    """The peak of a rate, or why there is none."""
    found = _PEAKS.get(subject.rate.program)
    if found is None:
        return "held to its peers alone: no peak is known for it"
    return found(subject)


def _of(figure: Figure, least: Bound, share: float, factor: float = 1.0) -> Peak | str:
    if figure.value is None:
        return "nobody gives a peak that can be relied on"
    source = figure.source or "unconfirmed"
    return Peak(figure.value * factor, least, source, figure.confirmed, share)


def _multiply(subject: Subject) -> Peak | str:
    if subject.model is None:
        return "configs/gpus does not describe this GPU"
    figure = subject.model.peak.get(subject.rate.variant)
    if figure is None:
        return f"this GPU has no unit of its own for {subject.rate.variant}"
    name = "gemm_least" if subject.rate.program == "gemm" else "step_least"
    return _of(figure, subject.bound(name), cores(subject))


def cores(subject: Subject) -> float:
    """The share of the GPU's multiprocessors that a MIG slice has; 1 for a whole GPU."""
    if subject.mig is None or subject.model is None:
        return 1.0
    count = subject.mig.sm_count.value
    return count / float(subject.model.target.figures["core_count"]) if count else 1.0


def _memory(subject: Subject) -> Peak | str:
    least, share = subject.bound("copy_least"), _memory_share(subject)
    if subject.model is not None:
        return _of(subject.model.memory.bandwidth_gb_per_s, least, share)
    gb_per_s = _derived(subject)
    if gb_per_s is None:
        return "configs/gpus does not describe this GPU, and NVML tells no clock or bus width"
    return Peak(gb_per_s, least, DERIVED, confirmed=False, share=share)


def _memory_share(subject: Subject) -> float:
    if subject.mig is None or subject.gpu is None:
        return 1.0
    part, whole = subject.mig.memory.total_bytes.value, subject.gpu.memory.total_bytes.value
    return part / whole if part and whole else 1.0


def _derived(subject: Subject) -> float | None:
    """GB/s by the memory clock and the width of the bus."""
    if subject.gpu is None:
        return None
    mhz, bits = subject.gpu.clocks.max_memory_mhz.value, subject.gpu.identity.memory_bus_bits.value
    return mhz * DATA_RATE * bits / 8 / 1000 if mhz and bits else None


def _link(subject: Subject) -> Peak | str:
    if subject.rate.together:
        return "held to nothing all at once: GPUs share switches and the host's memory"
    if subject.gpu is None or not subject.gpu.identity.name.known:
        return "NVML does not tell the GPU's link"
    most: tuple[Reading[int], Reading[int]] = (
        subject.gpu.pcie.max_generation,
        subject.gpu.pcie.max_width,
    )
    lane, width = LANE.get(most[0].value or 0), most[1].value
    if lane is None or not width:
        return f"NVML does not tell the PCIe link ({most[0].reason or most[1].reason})"
    return Peak(lane * width, subject.bound("link_least"), f"PCIe, {PCI_SIG}")


def _nvlink(subject: Subject) -> Peak | str:
    """One direction of NVLink, for the largest message: smaller ones are bound by latency."""
    model = subject.model
    if model is None or model.nvlink is None:
        return "no NVLink between GPUs of one model that configs/gpus describes"
    links = [gpu.nvlinks.value for gpu in subject.evidence.survey.snapshot.gpus]
    if not all(any(link.active.value for link in found or ()) for found in links):
        return "no NVLink is up"
    figure = model.nvlink.bandwidth_gb_per_s
    return _of(figure, subject.bound("collective_least"), 1.0, factor=0.5)


_PEAKS: dict[str, Callable[[Subject], Peak | str]] = {
    "gemm": _multiply,
    "attention": _multiply,
    "train": _multiply,
    "copy": _memory,
    "triad": _memory,
    "host_to_device": _link,
    "device_to_host": _link,
    "all_reduce": _nvlink,
    "all_gather": _nvlink,
    "reduce_scatter": _nvlink,
}
