"""What a GPU description says, as plain data."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad.core.text import listed
from jaxpad.profiles.model import Table, kind

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


# The tables of a GPU description, checked and turned into data.

DTYPES = ("bf16", "fp16", "tf32", "fp32", "fp8", "int8")
UNCONFIRMED = "unconfirmed"

_PCI = re.compile(r"[0-9a-f]{4}")
_URL = re.compile(r"https?://[^\s/]+\.[^\s]+")


def recognise(table: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The [recognise] table: PCI device ids and names."""
    table.only("pci", "names", "source")
    pci, names = table.texts("pci"), table.texts("names")
    if not pci or not names or not all(name.strip() for name in names):
        table.refuse("pci or names is empty; give at least one of each")
    for device in pci:
        if not _PCI.fullmatch(device):
            table.refuse(f"pci has {device!r}, expected 4 digits 0-9 or a-f such as '2330'")
    source(table)
    return pci, names


def peak(table: Table) -> Mapping[str, Figure]:
    """The [peak] table: dense rates by dtype."""
    table.only(*DTYPES, "source", "sources")
    found = tuple(dtype for dtype in DTYPES if dtype in table.items)
    if not found:
        table.refuse(f"no rate is given; add one of {listed(DTYPES, 'or')}")
    return figures(table, found)


def memory(table: Table) -> Memory:
    """The [memory] table."""
    return Memory(**_all(table, "size_gb", "bandwidth_gb_per_s"))


def tdp(table: Table) -> Figure:
    """The [power] table."""
    return _all(table, "tdp_watts")["tdp_watts"]


def nvlink(table: Table) -> NvLink:
    """The [nvlink] table."""
    return NvLink(**_all(table, "generation", "links", "bandwidth_gb_per_s"))


def pcie(table: Table) -> Pcie:
    """The [pcie] table."""
    return Pcie(**_all(table, "generation", "width"))


def source(table: Table, key: str = "source") -> str | None:
    """An address to read at, None for `unconfirmed`."""
    text = table.text(key)
    if text == UNCONFIRMED:
        return None
    if not _URL.fullmatch(text):
        table.refuse(f"{key} is {text!r}, expected an http or https address or '{UNCONFIRMED}'")
    return text


def figures(table: Table, keys: tuple[str, ...]) -> dict[str, Figure]:
    """Numbers with their sources: the table's `source`, or their own in `sources`."""
    values = {key: number(table, key) for key in keys}
    known = [key for key, value in values.items() if value is not None]
    own = _sources(table, known)
    rest = source(table) if set(known) - set(own) else None
    return {
        key: Figure(value, own.get(key, rest) if key in known else None)
        for key, value in values.items()
    }


def number(table: Table, key: str) -> float | None:
    """A positive number, None for `unconfirmed`."""
    value = table.items.get(key)
    if value == UNCONFIRMED:
        return None
    if value is None:
        table.refuse(f"{key} is missing; give a number or '{UNCONFIRMED}'")
    if isinstance(value, bool) or not isinstance(value, int | float):
        table.refuse(f"{key} is {kind(value)}, expected a number or '{UNCONFIRMED}'; give one")
    if not math.isfinite(value) or value <= 0:
        table.refuse(f"{key} is {value}, expected a number above 0; mend it")
    return value


def _all(table: Table, *keys: str) -> dict[str, Figure]:
    table.only(*keys, "source", "sources")
    return figures(table, keys)


def _sources(table: Table, known: list[str]) -> dict[str, str | None]:
    given = table.items.get("sources", {})
    if not isinstance(given, dict):
        table.refuse(f'sources is {kind(given)}, expected {{ {known[0]} = "https://…" }}')
    own = Table(table.path, f"{table.where} sources", given)
    own.only(*known)
    return {key: source(own, key) for key in given}
