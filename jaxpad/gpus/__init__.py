"""GPU descriptions: how to recognise a GPU, its peak rates, and what XLA compiles for.

One TOML file each in configs/gpus/; the format is in docs/gpus.md. Nothing here imports
JAX or asks a driver: `jaxpad.schedule.aot` compiles for a description.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later

if TYPE_CHECKING:
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
        text_proto,
    )

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

_LATER = {
    "DTYPES": "jaxpad.gpus.description",
    "FOLDER": "jaxpad.gpus.catalogue",
    "Figure": "jaxpad.gpus.description",
    "GpuDescription": "jaxpad.gpus.description",
    "Memory": "jaxpad.gpus.description",
    "NvLink": "jaxpad.gpus.description",
    "Pcie": "jaxpad.gpus.description",
    "Target": "jaxpad.gpus.description",
    "Unit": "jaxpad.gpus.description",
    "load": "jaxpad.gpus.catalogue",
    "names": "jaxpad.gpus.catalogue",
    "recognise": "jaxpad.gpus.catalogue",
    "text_proto": "jaxpad.gpus.description",
}

__getattr__ = later(__name__, _LATER)
