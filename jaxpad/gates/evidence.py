"""One rate, with all there is to judge it by."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from jaxpad.core.bounds import Bound, Bounds
from jaxpad.core.results import Rate
from jaxpad.gpus import Figure, GpuDescription
from jaxpad.machine.facts import Survey
from jaxpad.nvml import REASONS, GpuState, GpuTrace, Match, MigDevice, Reading, Snapshot, Trace

# What the sampler saw of one GPU while a program ran.


@dataclass(frozen=True)
class Window:
    """Medians of the samples in a time; None where NVML gave none.

    `held` is the share of the samples in which each clocks event reason was in force.
    """

    samples: int
    sm_mhz: float | None
    memory_mhz: float | None
    watts: float | None
    celsius: float | None
    held: dict[str, float]

    def share(self, reason: str) -> float:
        """Of the samples, how many had `reason` in force; 0 where NVML told none."""
        return self.held.get(reason, 0.0)


def of_gpu(trace: Trace | None, gpu: GpuState) -> GpuTrace | None:
    """The trace of a GPU, by UUID or PCI bus id; None where there is none."""
    names = {gpu.identity.uuid.value, gpu.identity.pci_bus_id.value} - {None}
    traces = trace.gpus if trace else ()
    return next((t for t in traces if names & {t.uuid.value, t.pci_bus_id.value}), None)


def window(trace: GpuTrace | None, start_s: float, stop_s: float) -> Window | None:
    """The samples from `start_s` to `stop_s`; None where there is not one."""
    if trace is None:
        return None
    first, last = bisect_left(trace.time_s, start_s), bisect_right(trace.time_s, stop_s)
    if first == last:
        return None

    def middle(column: str) -> float | None:
        known = _known(trace.columns[column][first:last])
        return statistics.median(known) if known else None

    return Window(
        samples=last - first,
        sm_mhz=middle("sm_mhz"),
        memory_mhz=middle("memory_mhz"),
        watts=middle("power_watts"),
        celsius=middle("temperature_celsius"),
        held=_held(_known(trace.columns["throttle_bits"][first:last])),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _held(bits: list[float]) -> dict[str, float]:
    counts = {name: sum(bool(int(each) & bit) for each in bits) for bit, name in REASONS.items()}
    return {name: count / len(bits) for name, count in counts.items() if count}


@dataclass(frozen=True)
class Evidence:
    """What was seen of a node in a run: before it, throughout it, and under load.

    `loaded` has the state of each GPU under load, by NVML's index. `strict`: a shortfall
    that has an explanation fails, too.
    """

    survey: Survey
    trace: Trace | None
    bounds: Bounds
    loaded: Mapping[int, GpuState] = field(default_factory=dict)
    strict: bool = False

    def under(self, loaded: Snapshot) -> Evidence:
        """The same with the state of each GPU under load; of GPUs that are ours alone."""
        ours = {gpu.index: gpu for gpu in loaded.gpus if gpu.index in self.survey.visible}
        return replace(self, loaded=ours)


@dataclass(frozen=True)
class Subject:
    """A rate and its GPU. `model` is None for one that configs/gpus does not describe.

    `gpu` is None for a CPU, for what all devices did as one, and where `unmatched` says why
    no GPU of NVML's could be found for the device.
    """

    rate: Rate
    evidence: Evidence
    gpu: GpuState | None = None
    mig: MigDevice | None = None
    model: GpuDescription | None = None
    unmatched: str = ""

    def bound(self, name: str) -> Bound:
        return self.evidence.bounds[name]

    @property
    def index(self) -> int | None:
        """NVML's index of the GPU."""
        return self.gpu.index if self.gpu else None

    @property
    def window(self) -> Window | None:
        """What the sampler saw of the GPU while the program ran."""
        if self.gpu is None:
            return None
        trace = of_gpu(self.evidence.trace, self.gpu)
        return window(trace, self.rate.start_s, self.rate.stop_s)

    @property
    def under_load(self) -> GpuState | None:
        """The GPU's state under load, else before the run."""
        return self.evidence.loaded.get(self.gpu.index, self.gpu) if self.gpu else None


def subjects(rates: Sequence[Rate], evidence: Evidence) -> tuple[Subject, ...]:
    """Each rate with the GPU that it ran on."""
    ordinals = sorted({rate.ordinal for rate in rates if rate.ordinal is not None})
    found = {each.ordinal: each for each in evidence.survey.match(ordinals)}
    return tuple(_subject(rate, evidence, found) for rate in rates)


def _subject(rate: Rate, evidence: Evidence, found: Mapping[int, Match]) -> Subject:
    if rate.platform == "cpu":
        return Subject(rate, evidence)
    if rate.device is None:
        return Subject(rate, evidence, model=_common(evidence))
    match = found.get(rate.ordinal) if rate.ordinal is not None else None
    if match is None or match.gpu is None:
        why = match.reason if match else "JAX does not say which CUDA device it is"
        return Subject(rate, evidence, unmatched=why or "")
    model = evidence.survey.described[match.gpu.index]
    return Subject(rate, evidence, match.gpu, match.mig, model)


def _common(evidence: Evidence) -> GpuDescription | None:
    """The model of all visible GPUs, where they are of one."""
    survey = evidence.survey
    models = [survey.described[index] for index in sorted(survey.visible)]
    one = models[0] if models else None
    return one if one and all(each and each.name == one.name for each in models) else None


# What a rate can be at most, and from where that is known.

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
