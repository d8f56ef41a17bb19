"""One rate, with all there is to judge it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from jaxpad.bounds import Bound, Bounds
from jaxpad.gates._window import Window, of_gpu, window
from jaxpad.gpus import GpuDescription
from jaxpad.nvml import GpuState, Match, MigDevice, Snapshot, Trace
from jaxpad.results import Rate
from jaxpad.survey import Survey


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
