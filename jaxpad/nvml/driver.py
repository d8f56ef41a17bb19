"""The driver's own account of itself: its version and the names of its GPUs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jaxpad.core.reading import Reading, attempt, plausible
from jaxpad.nvml.device import started


@dataclass(frozen=True)
class Driver:
    """What NVML says; every field is None where `error` says why."""

    version: str | None = None  # "580.95.05"
    cuda: str | None = None  # newest CUDA the driver supports, "13.0"
    names: tuple[str, ...] = ()  # one name a GPU, in NVML's (PCI) order
    error: str | None = None


def read() -> Driver:
    """Ask NVML for the driver, its CUDA version and the GPUs it counts."""
    with started() as nvml:
        return _read(nvml.value) if nvml.known else Driver(error=nvml.reason)


def _read(nvml: Any) -> Driver:
    version = attempt(nvml.nvmlSystemGetDriverVersion)
    count = attempt(nvml.nvmlDeviceGetCount)
    names = [attempt(_name, nvml, index) for index in range(count.value or 0)]
    return Driver(
        version=version.value,
        cuda=cuda_version(nvml).value,
        names=tuple(name.value or f"unreadable ({name.reason})" for name in names),
        error=version.reason or count.reason,
    )


def cuda_version(nvml: Any) -> Reading[str]:
    """The newest CUDA that the driver supports: 13000 is 13.0."""
    return plausible(attempt(nvml.nvmlSystemGetCudaDriverVersion_v2), 1, 10**6).map(
        lambda number: f"{number // 1000}.{number % 1000 // 10}"
    )


def _name(nvml: Any, index: int) -> str:
    return str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(index)))


def from_json(text: str) -> Driver:
    """The account that `python -m jaxpad.nvml` printed."""
    fields = json.loads(text)
    return Driver(**fields | {"names": tuple(fields["names"])})
