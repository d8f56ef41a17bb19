"""A user's own workload: `package.module:function`."""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.workloads._call import build
from jaxpad.workloads._import import imported
from jaxpad.workloads._model import Workload

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_SHAPE = re.compile(r"[1-9]\d*x[1-9]\d*x[1-9]\d*")


def own(reference: str) -> Workload:
    """The workload that a reference names; its function is not called yet."""
    if not _REFERENCE.fullmatch(reference):
        raise UsageError(
            f"{reference!r} names no workload, expected package.module:function; write it like "
            "'train.steps:fsdp'"
        )
    name, _, attribute = reference.partition(":")
    module = imported(reference, name)
    function = getattr(module, attribute, None)
    if not callable(function):
        raise UsageError(
            f"{reference}: {module.__file__} has no function {attribute}; name one that it has"
        )
    devices = _devices(reference, getattr(function, "devices", 1))
    return Workload(
        name=reference,
        description=(function.__doc__ or "").strip().partition("\n")[0],
        devices=devices,
        axes=_axes(reference, getattr(function, "axes", None), devices),
        sources=_sources(module),
        build=functools.partial(build, reference, function),
    )


def _devices(reference: str, wanted: Any) -> str:
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
        return f"1x1x{wanted}"
    if isinstance(wanted, str) and _SHAPE.fullmatch(wanted):
        return wanted
    raise UsageError(
        f"{reference}: its devices are {wanted!r}, expected a number above 0 or partitions x hosts "
        "x devices per host; write it like '1x2x8'"
    )


def _axes(reference: str, wanted: Any, devices: str) -> Mapping[str, int]:
    count = math.prod(int(part) for part in devices.split("x"))
    if wanted is None:
        return {"devices": count}
    sizes = list(wanted.values()) if isinstance(wanted, Mapping) else []
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise UsageError(
            f"{reference}: its axes are {wanted!r}, expected names with sizes; write them like "
            "{'data': 2, 'model': 4}"
        )
    if math.prod(sizes) != count:
        raise UsageError(
            f"{reference}: its axes {dict(wanted)} hold {math.prod(sizes)} devices and its devices "
            f"are {devices}, which is {count}; make them agree"
        )
    return {str(name): size for name, size in wanted.items()}


def _sources(module: ModuleType) -> tuple[Path, ...]:
    """The module's file, and all of the package that it is in."""
    file = Path(str(module.__file__))
    top = sys.modules[module.__name__.partition(".")[0]]
    folders = [Path(folder) for folder in getattr(top, "__path__", ())]
    return (file, *sorted(path for folder in folders for path in folder.rglob("*.py")))
