"""Where things run: docker, podman, Apptainer, Slurm. A plain request becomes an argv."""

from jaxpad.engines._apptainer import Apptainer
from jaxpad.engines._engine import Engine
from jaxpad.engines._find import choices, find
from jaxpad.engines._images import Image, images, inspect
from jaxpad.engines._oci import Docker, Oci, Podman
from jaxpad.engines._request import Build, Mount, Run

__all__ = [
    "Apptainer",
    "Build",
    "Docker",
    "Engine",
    "Image",
    "Mount",
    "Oci",
    "Podman",
    "Run",
    "choices",
    "find",
    "images",
    "inspect",
]
