"""What a result about a workload is kept under."""

from __future__ import annotations

import hashlib
import json

from jaxpad.workloads._model import Workload


def digest(workload: Workload) -> str:
    """SHA-256, in hexadecimal, of what the workload is: its name, devices, axes and source.

    Of jaxpad's own workloads that is the program's file and those it shares with others, of
    a user's own its module and all of the package that the module is in. Other packages
    which the program uses, JAX among them, are not in it.
    """
    files = [file.read_bytes() for file in dict.fromkeys(workload.sources)]
    said = {
        "name": workload.name,
        "devices": workload.devices,
        "axes": list(workload.axes.items()),
        "sources": [hashlib.sha256(text).hexdigest() for text in files],
    }
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()
