"""GPU descriptions: how to recognise a GPU, its peak rates, and what XLA compiles for.

One TOML file each in configs/gpus/; the format is in docs/gpus.md. Nothing here imports
JAX or asks a driver: `jaxpad.aot` compiles for a description.
"""

from jaxpad.gpus._load import FOLDER, load, names
from jaxpad.gpus._model import Figure, GpuDescription, Memory, NvLink, Pcie, Target, Unit
from jaxpad.gpus._read import DTYPES
from jaxpad.gpus._recognise import recognise
from jaxpad.gpus._text import text_proto

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
