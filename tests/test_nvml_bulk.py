"""nvmlFieldValue_t taken apart as bytes, beside nvidia-ml-py's own structure."""

from __future__ import annotations

import pynvml
import pytest

from jaxpad.nvml.device import Bulk

UNKNOWN = 999


def field(kind: int, member: str, number: float, code: int = 0) -> bytes:
    found = pynvml.c_nvmlFieldValue_t()
    found.valueType, found.nvmlReturn = kind, code
    setattr(found.value, member, number)
    return bytes(found)


@pytest.mark.parametrize(
    ("kind", "member", "number"),
    [
        (pynvml.NVML_VALUE_TYPE_DOUBLE, "dVal", 41.5),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, "uiVal", 2**32 - 1),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG, "ulVal", 2**63),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, "ullVal", 2**64 - 1),
        (pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG, "sllVal", -(2**40)),
        (pynvml.NVML_VALUE_TYPE_SIGNED_INT, "siVal", -8),
        (pynvml.NVML_VALUE_TYPE_UNSIGNED_SHORT, "usVal", 65535),
    ],
)
def test_value_by_type(kind: int, member: str, number: float) -> None:
    assert Bulk.decode(field(kind, member, number)) == [(0, number)]


def test_failed_field_is_not_decoded() -> None:
    """NVML leaves type and value of a failed field undefined."""
    raw = field(1, "uiVal", 7) + field(123456, "ullVal", 2**64 - 1, code=3)
    assert Bulk.decode(raw) == [(0, 7), (3, 0)]


def test_type_of_a_newer_driver() -> None:
    assert Bulk.decode(field(99, "uiVal", 7)) == [(UNKNOWN, 0)]
