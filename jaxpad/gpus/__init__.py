"""GPU descriptions: how to recognise a GPU, its peak rates, and what XLA compiles for.

One TOML file each in configs/gpus/; the format is in docs/gpus.md. Nothing here imports
JAX or asks a driver: `jaxpad.schedule.aot` compiles for a description.
"""

from jaxpad.gpus.catalogue import FOLDER, load, names, recognise
from jaxpad.gpus.description import (
    DTYPES,
    Figure,
    GpuDescription,
    Memory,
    NvLink,
    Pcie,
    Target,
    Unit,
)
from jaxpad.gpus.xla_target import text_proto

__all__ = [
    "DTYPES",
    "FOLDER",
    "Figure",
    "GpuDescription",
    "Memory",
    "NvLink",
    "Pcie",
    "Target",
    "Unit",
    "load",
    "names",
    "recognise",
    "text_proto",
]
