"""What a GPU description says, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Figure:
    """A number and where it was read.

    `value` is None where nobody gives the number, `source` where nobody confirms it: a
    gate may warn on such a figure, not fail.
    """

    value: float | None
    source: str | None

    @property
    def confirmed(self) -> bool:
        """Whether the number is known and has a source."""
        return self.value is not None and self.source is not None


@dataclass(frozen=True)
class Memory:
    """The GPU's own memory: size in GB as sold, peak bandwidth in GB/s."""

    size_gb: Figure
    bandwidth_gb_per_s: Figure


@dataclass(frozen=True)
class NvLink:
    """NVLink of one GPU: generation, links, peak bandwidth in GB/s, both directions together."""

    generation: Figure
    links: Figure
    bandwidth_gb_per_s: Figure


@dataclass(frozen=True)
class Pcie:
    """The widest PCIe link the GPU can take: generation and lanes."""

    generation: Figure
    width: Figure


@dataclass(frozen=True)
class Unit:
    """One rate of a core's scalar or matrix unit, as XLA's cost model takes it.

    `dtypes` are XLA's names in lower case; the rate is in operations a clock and unit.
    """

    dtypes: tuple[str, ...]
    clock_rate_ghz: float
    units_per_core: int
    ops_per_clock: int


@dataclass(frozen=True)
class Target:
    """What XLA is told of the GPU it compiles for.

    `figures` have XLA's own names (GpuDeviceInfoProto) and units: bytes, bytes/s, GHz.
    `config` is the target config that XLA ships and they come from; `edited` says which
    differ from it and why, and is empty for one taken over as it is.
    """

    name: str
    config: str
    source: str
    figures: Mapping[str, Scalar]
    scalar_unit: tuple[Unit, ...] = ()
    matrix_unit: tuple[Unit, ...] = ()
    edited: Mapping[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """`upstream`, or `edited by hand`."""
        return "edited by hand" if self.edited else "upstream"


@dataclass(frozen=True)
class GpuDescription:
    """One GPU: one TOML file.

    `pci` holds PCI device ids of NVIDIA (four hexadecimal digits), `names` what NVML calls
    it without the maker's words. `peak` is dense, by dtype, in TFLOP/s (int8: TOP/s), fp32
    without tensor cores; a dtype that is not there has no unit of its own.
    `nvlink` is None for a GPU that has none.
    """

    name: str
    path: Path
    description: str
    architecture: str
    compute_capability: str
    pci: tuple[str, ...]
    names: tuple[str, ...]
    peak: Mapping[str, Figure]
    memory: Memory
    tdp_watts: Figure
    nvlink: NvLink | None
    pcie: Pcie
    target: Target
