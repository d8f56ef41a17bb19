"""Asks the CUDA driver which devices it counts: `python -m jaxpad.nvml.cuda` prints JSON.

Run in a child (see `cuda_devices`), so that the caller never initialises CUDA and a hang
costs the child only. No context is made. The calls and their codes are in
https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

from jaxpad.core.codec import to_plain
from jaxpad.core.reading import attempt
from jaxpad.nvml.child import CudaDevice, CudaDevices

LIBRARY = "libcuda.so.1"
_BUS_ID_LENGTH = 32


class _CudaError(Exception):
    """A CUresult that is not success."""


def _call(library: Any, name: str, *given: Any) -> None:
    code = getattr(library, name)(*given)
    if code:
        text = ctypes.c_char_p()
        library.cuGetErrorName(code, ctypes.byref(text))
        words = text.value.decode() if text.value else "an unknown error"
        raise _CudaError(f"{name} answered {code}, {words}")


def _devices() -> tuple[CudaDevice, ...]:
    library = ctypes.CDLL(LIBRARY)
    _call(library, "cuInit", 0)
    count = ctypes.c_int()
    _call(library, "cuDeviceGetCount", ctypes.byref(count))
    return tuple(
        CudaDevice(ordinal, attempt(_uuid, library, ordinal), attempt(_bus_id, library, ordinal))
        for ordinal in range(count.value)
    )


def _device(library: Any, ordinal: int) -> ctypes.c_int:
    device = ctypes.c_int()
    _call(library, "cuDeviceGet", ctypes.byref(device), ordinal)
    return device


def _uuid(library: Any, ordinal: int) -> str:
    found = (ctypes.c_ubyte * 16)()
    _call(library, "cuDeviceGetUuid_v2", ctypes.byref(found), _device(library, ordinal))
    digits = bytes(found).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _bus_id(library: Any, ordinal: int) -> str:
    text = ctypes.create_string_buffer(_BUS_ID_LENGTH)
    device = _device(library, ordinal)
    _call(library, "cuDeviceGetPCIBusId", text, _BUS_ID_LENGTH, device)
    return text.value.decode()


if __name__ == "__main__":
    json.dump(to_plain(CudaDevices(attempt(_devices))), sys.stdout)
