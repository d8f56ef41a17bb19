"""CUDA ordinals and NVML devices, over doubles of both libraries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import nvml_double as double
from jaxpad import nvml
from jaxpad.nvml import Match, MigDevice


def matched(scenario: str, changes: Mapping[str, Any] | None = None, *ordinals: int) -> list[Match]:
    variables = double.environ(scenario, changes)
    cuda = nvml.cuda_devices(variables)
    return list(nvml.match(ordinals or (0,), cuda, nvml.ask(environ=variables)))


def minor(found: Match) -> int | None:
    return found.gpu.identity.minor_number.value if found.gpu else None


def test_by_uuid_never_by_index() -> None:
    """CUDA counts this scenario's GPUs backwards."""
    found = matched("healthy-h100-sxm", None, *range(8))
    assert [minor(each) for each in found] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert {each.by for each in found} == {"UUID"}


def test_mig_slice_by_uuid() -> None:
    [found] = matched("a100-mig")
    assert isinstance(found.mig, MigDevice)
    assert found.mig.gpu_instance.value == 2
    assert (minor(found), found.by) == (0, "UUID")


def test_by_bus_without_uuid() -> None:
    [found] = matched("healthy-h100-sxm", {"cuda.2.uuid": "!801"}, 2)
    assert (minor(found), found.by) == (5, "PCI bus id")


def test_by_bus_of_unknown_uuid() -> None:
    other = "GPU-00000000-0000-4000-8000-00000000beef"
    [found] = matched("l4", {"cuda.0.uuid": other})
    assert (minor(found), found.by) == (0, "PCI bus id")


@pytest.mark.parametrize(
    ("scenario", "changes", "ordinal", "reason"),
    [
        ("l4", {}, 3, "CUDA counts 1 devices and has no 3"),
        ("l4", {"cuda.init": "!100"}, 0, "CUDA_ERROR_NO_DEVICE"),
        ("l4", {"cuda.init": "!803"}, 0, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"),
        ("l4", {"cuda.0.uuid": "!801", "cuda.0.bus_id": "!801"}, 0, "and no PCI bus id"),
        ("l4", {"cuda.0.uuid": "!801", "cuda.0.bus_id": "0000:99:00.0"}, 0, "0000:99:00.0"),
        ("l4", {"init": "!DriverNotLoaded"}, 0, "NVML lists no GPU (NVMLError_DriverNotLoaded"),
        ("a100-mig", {"cuda.0.uuid": "!801"}, 0, "NVML lists 2 devices with that PCI bus id"),
    ],
    ids=["ordinal", "none", "mismatch", "nameless", "elsewhere", "no-nvml", "two-slices"],
)
def test_unmatched(scenario: str, changes: dict[str, Any], ordinal: int, reason: str) -> None:
    [found] = matched(scenario, changes, ordinal)
    assert (found.gpu, found.by) == (None, None)
    assert reason in (found.reason or "")
    assert "\n" not in (found.reason or "")


def test_two_with_one_uuid() -> None:
    same = "GPU-5c1ab301-0d5e-4f6a-9b70-8d2e4c6fa101"
    [found] = matched("healthy-h100-sxm", {"2.UUID": same}, 6)
    assert found.reason == "NVML lists 2 devices with that UUID"


def test_hang_costs_the_child_only() -> None:
    found = nvml.cuda_devices(double.environ("hangs"), limit_s=1.0)
    assert found.reason == "TimeoutExpired: no answer within 1 s"


def test_no_cuda(tmp_path: object) -> None:
    variables = double.environ("l4") | {"LD_LIBRARY_PATH": str(tmp_path)}
    found = nvml.cuda_devices(variables)
    assert found.value is None
    assert "libcuda.so.1" in (found.reason or "")
