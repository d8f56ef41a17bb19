"""Many NVML fields in one call, at a microsecond a field.

nvidia-ml-py's own wrapper fills and reads an array of structures whose every access runs
Python code: ten times as dear, and the sampler reads thousands of fields a second.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

# nvmlFieldValue_t (nvml.h): id, scope, time stamp, latency, type, return code, value.
_FIELD = struct.Struct("=IIqqIi8s")
# The value's union by nvmlValueType_t: double, unsigned int, unsigned long, unsigned long
# long, signed long long, signed int, unsigned short.
_VALUES = tuple(map(struct.Struct, ("=d", "=I4x", "=Q", "=Q", "=q", "=i4x", "=H6x")))
_VALUE, _TYPE, _CODE = 6, 4, 5
_UNKNOWN = 999  # NVML_ERROR_UNKNOWN

Id = int | tuple[int, int]


@cache
def _blank(ids: tuple[Id, ...]) -> bytes:
    """The array as it is handed to NVML: the same for every GPU."""
    pairs = (each if isinstance(each, tuple) else (each, 0) for each in ids)
    return b"".join(_FIELD.pack(*pair, 0, 0, 0, 0, bytes(8)) for pair in pairs)


class Bulk:
    """The fields `ids` of one GPU; an id is a field's number, or that and its scope."""

    def __init__(self, nvml: Any, handle: Any, ids: Sequence[Id]) -> None:
        self.ids = tuple(ids)
        self._handle = handle
        array = nvml.c_nvmlFieldValue_t * len(self.ids)
        self._fields = array.from_buffer_copy(_blank(self.ids))
        self._raw = (ctypes.c_char * ctypes.sizeof(self._fields)).from_buffer(self._fields)
        self._call = nvml._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")
        self._error = nvml.NVMLError

    def ask(self) -> tuple[int, bytes]:
        """The call's return code, and what it filled, to be decoded later."""
        return self._call(self._handle, len(self.ids), self._fields), self._raw.raw

    def read(self) -> list[tuple[int, int | float]]:
        """What `decode` gives; raises NVMLError where the call as a whole fails."""
        code, raw = self.ask()
        if code:
            raise self._error(code)
        return self.decode(raw)

    @staticmethod
    def decode(raw: bytes) -> list[tuple[int, int | float]]:
        """A return code and a value for each id; the value counts where the code is 0."""
        return [
            _number(field[_CODE], field[_TYPE], field[_VALUE]) for field in _FIELD.iter_unpack(raw)
        ]


def _number(code: int, kind: int, value: bytes) -> tuple[int, int | float]:
    """Type and value are undefined where the code is not 0, and a newer type may come."""
    if code:
        return code, 0
    if kind >= len(_VALUES):
        return _UNKNOWN, 0
    return 0, _VALUES[kind].unpack(value)[0]
