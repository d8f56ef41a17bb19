"""The GPUs of a survey as the report shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from jaxpad.bounds import Bounds
from jaxpad.facts import Facts
from jaxpad.gpus import GpuDescription
from jaxpad.health import Finding
from jaxpad.health._subject import readings
from jaxpad.nvml import GpuState, Reading
from jaxpad.results import Fact, Gpu, GpuFinding
from jaxpad.survey import Survey

# Told elsewhere, of no use to a reader, or nobody's business.
_LEFT_OUT = ("processes", "identity.serial", "identity.uuid", "identity.name")
_LINK = re.compile(r"nvlinks(?!\.\d+\.active$)")  # of a link only whether it is up


def gpus(survey: Survey, facts: Facts, bounds: Bounds) -> tuple[Gpu, ...]:
    """One entry for each GPU that NVML lists, with what health finds on it."""
    findings = survey.findings(bounds, idle=True)
    pairs = zip(survey.snapshot.gpus, survey.described, strict=True)
    return tuple(_gpu(gpu, model, _devices(survey, facts, gpu), findings) for gpu, model in pairs)


def _devices(survey: Survey, facts: Facts, gpu: GpuState) -> tuple[int, ...]:
    """JAX's ids of the devices that this GPU, or a slice of it, is."""
    ids = [number for number, _ in facts.started.devices]
    matches = zip(ids, survey.match(facts.started.ordinals), strict=False)
    return tuple(number for number, found in matches if found.gpu and found.gpu.index == gpu.index)


def _gpu(
    gpu: GpuState,
    model: GpuDescription | None,
    devices: tuple[int, ...],
    findings: Sequence[Finding],
) -> Gpu:
    return Gpu(
        index=gpu.index,
        name=gpu.identity.name.value or "no name",
        description=model.name if model else None,
        uuid=gpu.identity.uuid.value,
        pci_bus_id=gpu.identity.pci_bus_id.value,
        devices=devices,
        peaks=_peaks(model) if model else {},
        readings=dict(_readings(gpu)),
        findings=tuple(
            GpuFinding(one.name, one.verdict, one.seen, one.why, one.remedy)
            for one in findings
            if one.gpu == gpu.index
        ),
    )


def _peaks(model: GpuDescription) -> dict[str, float]:
    """Dense TFLOP/s by dtype, and the memory's GB/s; what nobody gives is left out."""
    figures = {**model.peak, "memory": model.memory.bandwidth_gb_per_s}
    return {name: figure.value for name, figure in figures.items() if figure.value is not None}


def _readings(gpu: GpuState) -> Iterator[tuple[str, Fact]]:
    for path, found in readings(gpu):
        if not (path.startswith(_LEFT_OUT) or _LINK.match(path)):
            yield path, _fact(found)


def _fact(found: Reading[Any]) -> Fact:
    value = found.value
    if isinstance(value, tuple):
        return Fact(", ".join(map(str, value)) or "none")
    if isinstance(value, float):
        return Fact(f"{value:g}")
    return Fact(None if value is None else str(value), found.reason)
