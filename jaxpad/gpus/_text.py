"""Write a target as XLA reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from jaxpad.gpus._model import GpuDescription, Target, Unit
from jaxpad.gpus._xla import COMMON, PRIMITIVE_TYPES, UNITS


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
            f"rate_infos {{ key: {PRIMITIVE_TYPES[dtype]} value {{ {_rate(unit)} }} }}"
            for unit in getattr(target, which)
            for dtype in unit.dtypes
        ]
        if rates:
            yield f"{which}_description {{ {' '.join(rates)} }}"


def _rate(unit: Unit) -> str:
    return (
        f"clock_rate_ghz: {unit.clock_rate_ghz} units_per_core: {unit.units_per_core} "
        f"ops_per_clock: {unit.ops_per_clock}"
    )
