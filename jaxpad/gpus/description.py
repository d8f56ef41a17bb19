"""What a GPU description says, as plain data."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
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
        table.refuse(f"{key} is {value}, expected a number above 0; fix it")
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


# The [target] table, checked and turned into data.

# What XLA calls the figures of a GPU, and what is the same for all of them.
#
# Source: https://github.com/openxla/xla/blob/main/xla/stream_executor/device_description.proto

_WHOLE = (
    *("core_count", "fpus_per_core", "threads_per_core_limit", "shared_memory_per_core"),
    *("shared_memory_per_block_optin", "l2_cache_size", "device_memory_size", "memory_bandwidth"),
    *("reserved_shared_memory_per_block", "max_blocks_per_multiprocessor", "active_links"),
    *("collective_memory_granularity", "device_address_bits", "pcie_bandwidth"),
)
_VERSIONS = (
    *("driver_version", "runtime_version", "compile_time_toolkit_version"),
    *("dnn_version", "cub_version"),
)
KINDS: Mapping[str, type] = (
    dict.fromkeys(_WHOLE, int)
    | dict.fromkeys(("clock_rate_ghz", "mem_clock_ghz"), float)
    | dict.fromkeys(_VERSIONS, str)
    | {"feature_extension": str, "ecc_enabled": bool}
)
NEEDED = (*_WHOLE[:8], "clock_rate_ghz")
UNITS = ("scalar_unit", "matrix_unit")
# The same for every NVIDIA GPU that XLA ships a target config for.
COMMON: dict[str, Scalar] = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}
# xla.PrimitiveType; numbers of the wire format never change.
PRIMITIVE_TYPES = dict(
    (
        *(("s8", 2), ("s32", 4), ("u8", 6), ("u32", 8), ("f16", 10), ("f32", 11), ("f64", 12)),
        *(("bf16", 16), ("f8e5m2", 19), ("f8e4m3fn", 20), ("f8e4m3b11fnuz", 23)),
        *(("f8e5m2fnuz", 24), ("f8e4m3fnuz", 25), ("f8e4m3", 28), ("f8e3m4", 29)),
        *(("f4e2m1fn", 32), ("f8e8m0fnu", 33), ("f6e3m2fn", 35), ("f6e2m3fn", 36)),
    )
)
EXTENSIONS = ("NONE", "ACCELERATED_FEATURES", "FAMILY_COMPATIBLE_FEATURES")


def target(table: Table) -> Target:
    """Read the [target] table. Raises UsageError for what XLA would not read."""
    table.only("origin", "config", "source", "name", *KINDS, *UNITS, "edited")
    found = Target(
        name=table.text("name"),
        config=table.text("config"),
        source=source(table) or table.refuse("source may not be unconfirmed; say where it is"),
        figures={key: _figure(table, key) for key in KINDS if key in table.items},
        scalar_unit=_units(table, "scalar_unit"),
        matrix_unit=_units(table, "matrix_unit"),
        edited=_edited(table),
    )
    for key in NEEDED:
        if key not in found.figures:
            table.refuse(f"{key} is missing; XLA needs it")
        value = float(found.figures[key])
        if not 0 < value < math.inf:
            table.refuse(f"{key} is {value:g}; expected a finite number above 0")
    if table.text("origin") != found.origin:
        table.refuse(
            f"origin is {table.items['origin']!r}, expected 'upstream' and no [target.edited], "
            "or 'edited by hand' and a [target.edited] that says what and why"
        )
    return found


def _figure(table: Table, key: str) -> Scalar:
    value, wanted = table.items[key], KINDS[key]
    if key == "feature_extension" and value not in EXTENSIONS:
        table.refuse(f"{key} is {value!r}, expected {listed(EXTENSIONS, 'or')}; fix it")
    fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        table.refuse(f"{key} is {kind(value)}, expected {kind(wanted())}; fix it")
    return wanted(value)  # type: ignore[no-any-return]


def _units(table: Table, key: str) -> tuple[Unit, ...]:
    found = []
    for unit in table.tables(key):
        entry = Table(table.path, f"[target] {key}", unit.items)
        entry.only("dtypes", "clock_rate_ghz", "units_per_core", "ops_per_clock")
        found.append(
            Unit(
                entry.texts("dtypes", PRIMITIVE_TYPES),
                _target_rate(entry, "clock_rate_ghz"),
                int(_target_rate(entry, "units_per_core")),
                int(_target_rate(entry, "ops_per_clock")),
            )
        )
    return tuple(found)


def _target_rate(table: Table, key: str) -> float:
    value = table.items.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        table.refuse(f"{key} is {value!r}, expected a number above 0; fix it")
    return value


def _edited(table: Table) -> dict[str, str]:
    edited = table.table("edited")
    edited = Table(table.path, "[target.edited]", edited.items)
    edited.only("name", "compute_capability", *KINDS, *UNITS)
    return {key: edited.text(key) for key in edited.items}


# Write a target as XLA reads it.


def text_proto(gpu: GpuDescription, knows: Callable[[str], bool] = lambda _: True) -> str:
    """The target as a GpuTargetConfigProto in protobuf's text format, for XLA to read.

    `knows` says which fields of GpuDeviceInfoProto the XLA at hand has: it refuses the whole
    text for one that it does not know, and newer releases have more.
    """
    lines = [*_info(gpu, knows), *_unit_lines(gpu.target)]
    body = "\n".join(f"  {line}" for line in lines)
    name = json.dumps(gpu.target.name)
    return (
        f'gpu_device_info {{\n{body}\n}}\nplatform_name: "CUDA"\ndevice_description_str: {name}\n'
    )


def _info(gpu: GpuDescription, knows: Callable[[str], bool]) -> Iterator[str]:
    figures = COMMON | dict(gpu.target.figures)
    major, minor = gpu.compute_capability.split(".")
    extension = figures.pop("feature_extension", "UNSPECIFIED")
    yield (
        f"cuda_compute_capability {{ major: {major} minor: {minor} "
        f"feature_extension: {extension} }}"
    )
    links = figures.pop("active_links", None)
    if links is not None and knows("device_interconnect_info"):
        yield f"device_interconnect_info {{ active_links: {links} }}"
    yield from (f"{key}: {json.dumps(value)}" for key, value in figures.items() if knows(key))


def _unit_lines(target: Target) -> Iterator[str]:
    for which in UNITS:
        rates = [
            f"rate_infos {{ key: {PRIMITIVE_TYPES[dtype]} value {{ {_text_rate(unit)} }} }}"
            for unit in getattr(target, which)
            for dtype in unit.dtypes
        ]
        if rates:
            yield f"{which}_description {{ {' '.join(rates)} }}"


def _text_rate(unit: Unit) -> str:
    return (
        f"clock_rate_ghz: {unit.clock_rate_ghz} units_per_core: {unit.units_per_core} "
        f"ops_per_clock: {unit.ops_per_clock}"
    )
