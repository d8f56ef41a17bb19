"""The part of CUDA that XLA needs to finish a program: ptxas and libdevice."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_PACKAGES = ("nvidia.cuda_nvcc", "nvidia.cu13")  # nvidia-cuda-nvcc-cu12, nvidia-cuda-nvcc
_NEEDED = ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc")


def toolkit() -> Path | None:
    """The folder of the installed wheel with ptxas and libdevice, None where there is none.

    XLA would take a toolkit in /usr/local/cuda or on PATH first: another on each machine,
    and CUDA 13's ptxas no longer compiles for Volta.
    """
    for package in _PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:  # not even nvidia
            return None
        for folder in (spec.submodule_search_locations if spec else None) or ():
            if all((Path(folder) / needed).is_file() for needed in _NEEDED):
                return Path(folder)
    return None
