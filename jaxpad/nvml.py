"""The driver's own account of itself, through NVML.

Run as a program (`python -m jaxpad.nvml`) it prints that account as JSON, so that a
driver that hangs or crashes takes a child with it and never the runner.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Driver:
    """What NVML says; every field is None where `error` says why."""

    version: str | None = None  # "580.95.05"
    cuda: str | None = None  # newest CUDA the driver supports, "13.0"
    names: tuple[str, ...] = ()  # one name a GPU, in NVML's (PCI) order
    error: str | None = None


def read() -> Driver:
    """Ask NVML for the driver, its CUDA version and the GPUs it counts."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception as error:  # NVMLError, or an OSError from a broken library
        return Driver(error=f"{type(error).__name__}: {error}")
    try:
        return _read(pynvml)
    finally:
        _optional(pynvml.nvmlShutdown)


def _read(nvml: Any) -> Driver:
    version, problem = _optional(nvml.nvmlSystemGetDriverVersion)
    cuda, _ = _optional(nvml.nvmlSystemGetCudaDriverVersion_v2)
    count, uncounted = _optional(nvml.nvmlDeviceGetCount)
    names = [_optional(partial(_name, nvml, index)) for index in range(count or 0)]
    return Driver(
        version=version,
        cuda=f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        names=tuple(name or f"unreadable ({why})" for name, why in names),
        error=problem or uncounted,
    )


def _name(nvml: Any, index: int) -> str:
    return str(nvml.nvmlDeviceGetName(nvml.nvmlDeviceGetHandleByIndex(index)))


def _optional(call: Callable[[], Any]) -> tuple[Any, str | None]:
    """The call's value, or the reason it has none.

    Every exception counts: WSL answers Unknown, old drivers FunctionNotFound, and
    NVML's library mismatch is not even an NVMLError.
    """
    try:
        return call(), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def from_json(text: str) -> Driver:
    """The account that `python -m jaxpad.nvml` printed."""
    fields = json.loads(text)
    return Driver(**fields | {"names": tuple(fields["names"])})


if __name__ == "__main__":
    json.dump(asdict(read()), sys.stdout)
