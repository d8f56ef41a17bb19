"""The snapshot, through unmodified nvidia-ml-py over a double of libnvidia-ml.so.1."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nvml_double as double
from jaxpad import gpus, nvml
from jaxpad.core import codec
from jaxpad.core.reading import Reading
from jaxpad.nvml import GpuState

WELL = (
    *("healthy-h100-sxm", "recorded-h200", "a100-mig", "l4", "rtx-4090", "gb200", "wsl"),
    "old-driver",
)
UNSUPPORTED = "NVMLError_NotSupported"
MISSING = "NVMLError_FunctionNotFound"


def gpu(scenario: str, index: int = 0) -> GpuState:
    return double.seen(scenario).gpus[index]


def readings(value: Any) -> Iterator[Reading[Any]]:
    """Every reading inside."""
    if isinstance(value, Reading):
        yield value
        yield from readings(value.value)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from readings(getattr(value, field.name))
    elif isinstance(value, tuple | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from readings(entry)


@pytest.mark.parametrize("scenario", WELL)
def test_value_or_reason(scenario: str) -> None:
    found = list(readings(double.seen(scenario)))
    assert len(found) > 80
    assert all((each.value is None) == bool(each.reason) for each in found)


@pytest.mark.parametrize("scenario", WELL)
def test_json_and_back(scenario: str) -> None:
    seen = double.seen(scenario)
    told = json.loads(json.dumps(codec.to_plain(seen)))
    assert codec.revive(nvml.Snapshot, told, "snapshot") == seen


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        ("healthy-h100-sxm", "h100-sxm"),
        ("recorded-h200", "h200"),
        ("a100-mig", "a100-sxm-40"),
        ("l4", "l4"),
        ("rtx-4090", "rtx-4090"),
        ("gb200", "gb200"),
    ],
)
def test_recognised(scenario: str, name: str) -> None:
    """What NVML names is what configs/gpus describes."""
    state = gpu(scenario)
    described = gpus.recognise(state.identity.pci_device_id.value, state.identity.name.value)
    assert described
    assert described.name == name
    assert state.identity.compute_capability.value == described.compute_capability
    assert state.identity.architecture.value == described.architecture
    assert state.power.default_limit_watts.value == described.tdp_watts.value


def test_h100_versions() -> None:
    seen = double.seen("healthy-h100-sxm")
    told = (seen.driver_version, seen.nvml_version, seen.cuda_version, seen.gpu_count)
    assert [each.value for each in told] == ["580.95.05", "13.580.95.05", "13.0", 8]
    assert [each.index for each in seen.gpus] == list(range(8))


def test_h100_identity() -> None:
    found = gpu("healthy-h100-sxm", 3).identity
    assert found.name.value == "NVIDIA H100 80GB HBM3"
    assert found.uuid.value == "GPU-5c1ab303-0d5e-4f6a-9b70-8d2e4c6fa103"
    assert found.serial.value == "1654023010003"
    assert (found.pci_bus_id.value, found.pci_device_id.value) == ("0000:3b:00.0", "0x233010DE")
    assert (found.minor_number.value, found.cores.value) == (3, 16896)
    assert (found.memory_bus_bits.value, found.vbios.value) == (5120, "96.00.99.00.01")
    assert found.numa_node.error == UNSUPPORTED


def test_h100_memory() -> None:
    found = gpu("healthy-h100-sxm").memory
    assert found.total_bytes.value == 85520809984
    parts = (found.used_bytes.value, found.free_bytes.value, found.reserved_bytes.value)
    assert sum(filter(None, parts)) == found.total_bytes.value


def test_h100_power() -> None:
    found = gpu("healthy-h100-sxm").power
    assert (found.draw_watts.value, found.average_watts.value) == (689.4, 688.9)
    assert (found.min_limit_watts.value, found.max_limit_watts.value) == (200, 700)
    assert found.enforced_limit_watts.value == 700
    assert (found.energy_joules.value or 0) >= 80123456.789


def test_h100_clocks() -> None:
    state = gpu("healthy-h100-sxm")
    now, most, own = [1755, 2619, 1755], [1980, 2619, 1980], [1980, 2619]
    assert [each.value for each in readings(state.clocks)] == [*now, *most, *own, *own]
    assert (state.throttle.bits.value, state.throttle.reasons.value) == (4, ("sw_power_cap",))
    assert (state.throttle.slowed_ns["sw_power_cap"].value or 0) >= 5_100_000_000
    assert state.throttle.slowed_ns["hw_thermal_slowdown"].value == 0


def test_h100_temperature() -> None:
    found = gpu("healthy-h100-sxm").temperature
    assert (found.gpu_celsius.value, found.memory_celsius.value) == (58, 71)
    assert (found.margin_celsius.value, found.shutdown_tlimit_celsius.value) == (29, -8)
    assert (found.slowdown_celsius.value, found.memory_max_celsius.value) == (89, 95)
    assert gpu("gb200").temperature.slowdown_celsius.error == UNSUPPORTED


def test_h100_health() -> None:
    state = gpu("healthy-h100-sxm")
    assert state.ecc.enabled.value is True
    assert state.ecc.uncorrected_aggregate.value == 0
    assert (state.remapped_rows.pending.value, state.remapped_rows.failed.value) == (False, False)
    assert state.retired_pages.pending.error == UNSUPPORTED


def test_h100_links() -> None:
    state = gpu("healthy-h100-sxm")
    links = state.nvlinks.value or ()
    assert [link.active.value for link in links] == [True] * 18
    assert {link.version.value for link in links} == {4}
    assert {link.crc_errors.value for link in links} == {0}
    assert {link.symbol_errors.error for link in links} == {"not asked"}
    assert (state.pcie.generation.value, state.pcie.width.value) == (5, 16)
    assert state.fabric.state.value == "completed"


def test_h100_uses() -> None:
    state = gpu("healthy-h100-sxm")
    assert (state.modes.compute_mode.value, state.modes.persistence.value) == ("default", True)
    assert (state.modes.performance_state.value, state.modes.virtualisation.value) == (0, "none")
    [process] = state.processes.compute.value or ()
    assert (process.pid, process.used_bytes.value) == (4711, 66060288000)
    assert process.name.value == "/usr/bin/python3"
    assert state.processes.graphics.value == ()


def test_mig_slices() -> None:
    found = gpu("a100-mig").mig
    first, second = found.devices.value or ()
    assert found.enabled.value is True
    assert (first.sm_count.value, first.memory.total_bytes.value) == (42, 20937965568)
    assert (first.uuid.value or "").startswith("MIG-3fbb7400")
    assert (second.gpu_instance.value, second.compute_instance.value) == (2, 0)


def test_mig_parent() -> None:
    """What NVML does not tell of a GPU in slices is absent, not zero."""
    state = gpu("a100-mig")
    assert state.utilisation.gpu_percent.error == UNSUPPORTED
    assert state.remapped_rows.pending.error == UNSUPPORTED


def test_mig_neighbour() -> None:
    state = gpu("a100-mig", 1)
    assert (state.mig.enabled.value, state.mig.devices.value) == (False, ())
    assert state.remapped_rows.correctable.value == 1
    assert state.ecc.corrected_aggregate.value == 3
    assert state.temperature.slowdown_celsius.value == 89


def test_links_by_older_call() -> None:
    """The A100 scenario's driver has no field for a link's errors, but the call."""
    links = gpu("a100-mig").nvlinks.value or ()
    assert len(links) == 12
    assert {(link.version.value, link.replay_errors.value) for link in links} == {(3, 0)}


def test_l4_absent() -> None:
    state = gpu("l4")
    assert state.nvlinks.error == UNSUPPORTED
    assert state.temperature.memory_celsius.error == UNSUPPORTED
    assert state.mig.devices.error == UNSUPPORTED
    assert state.fabric.state.error == UNSUPPORTED
    assert (state.pcie.generation.value, state.pcie.max_generation.value) == (1, 4)


def test_geforce_rows_not_asked() -> None:
    state = gpu("rtx-4090")
    assert state.remapped_rows.uncorrectable.error == "not asked"
    assert "without error correction" in (state.remapped_rows.pending.reason or "")
    assert state.identity.serial.error == UNSUPPORTED
    [screen] = state.processes.graphics.value or ()
    assert screen.name.value == "/usr/lib/xorg/Xorg"


def test_geforce_rows_with_ecc_off() -> None:
    seen = nvml.ask(environ=double.environ("rtx-4090", {"0.EccMode.0": 0, "0.EccMode.1": 0}))
    assert seen.gpus[0].ecc.enabled.value is False
    assert seen.gpus[0].remapped_rows.uncorrectable.error == "not asked"


def test_gb200() -> None:
    seen = double.seen("gb200")
    assert [each.identity.numa_node.value for each in seen.gpus] == [0, 1, 2, 3]
    assert [each.identity.pci_bus_id.value for each in seen.gpus][1] == "0018:01:00.0"
    links = seen.gpus[0].nvlinks.value or ()
    assert {(link.version.value, link.symbol_errors.value) for link in links} == {(5, 0)}
    assert {link.replay_errors.error for link in links} == {UNSUPPORTED}
    assert seen.gpus[0].fabric.clique.value == 32766


def test_wsl_unknown() -> None:
    state = gpu("wsl")
    assert state.utilisation.gpu_percent.error == "NVMLError_Unknown"
    assert state.processes.compute.error == "NVMLError_Unknown"
    assert state.power.average_watts.error == "NVMLError_Unknown"
    assert state.power.draw_watts.value == 24.7  # by the older call
    assert state.temperature.gpu_celsius.value == 41


def test_old_driver() -> None:
    state = gpu("old-driver")
    assert state.memory.used_bytes.value == 314572800  # by version 1
    assert state.memory.reserved_bytes.error == MISSING
    assert state.throttle.reasons.value == ("gpu_idle",)  # under the older name
    assert state.temperature.gpu_celsius.value == 35  # by the older call
    assert state.power.energy_joules.known
    assert state.processes.compute.error == "NVMLLibraryMismatchError"  # nvidia-ml-py, for 13
    assert state.fabric.state.error == MISSING
    assert state.identity.numa_node.error == MISSING


def test_old_driver_health() -> None:
    state = gpu("old-driver")
    pages = state.retired_pages
    assert [each.value for each in readings(pages)] == [2, 1, True]
    assert (state.throttle.slowed_ns["sw_thermal_slowdown"].value or 0) >= 2_000_000_000
    assert state.throttle.slowed_ns["hw_thermal_slowdown"].error == UNSUPPORTED
    assert {link.crc_errors.value for link in state.nvlinks.value or ()} == {7}


def test_garbage_is_absent() -> None:
    state = gpu("garbage")
    for found in (
        state.temperature.gpu_celsius,
        state.power.draw_watts,
        state.power.average_watts,
        state.power.energy_joules,
        state.memory.total_bytes,
        state.utilisation.gpu_percent,
        state.clocks.sm_mhz,
        state.clocks.max_sm_mhz,
        state.ecc.corrected_volatile,
        state.pcie.width,
        state.identity.cores,
    ):
        assert found.error == "garbage", found
    assert "65535" in (state.temperature.gpu_celsius.reason or "")
    assert state.clocks.memory_mhz.value == 0  # an idle clock of 0 can be


def test_lost_keeps_its_place() -> None:
    seen = double.seen("lost-before")
    absent = {each.error for each in readings(seen.gpus[1]) if each.reason}
    assert absent - {"not asked"} == {"NVMLError_GpuIsLost"}
    assert not any(each.value for each in readings(seen.gpus[1]))
    assert seen.gpus[2].identity.minor_number.value == 2


@pytest.mark.parametrize(
    ("scenario", "error"),
    [
        ("no-permission", "NVMLError_NoPermission"),
        ("mismatch", "NVMLError_LibRmVersionMismatch"),
        ("not-loaded", "NVMLError_DriverNotLoaded"),
        ("crashes", "ended"),
    ],
)
def test_no_nvml(scenario: str, error: str) -> None:
    seen = double.seen(scenario)
    assert seen.gpus == ()
    told = (seen.driver_version, seen.nvml_version, seen.cuda_version, seen.gpu_count)
    assert {each.error for each in told} == {error}


def test_no_library(tmp_path: Path) -> None:
    variables = double.environ("l4") | {"LD_LIBRARY_PATH": str(tmp_path)}
    error = nvml.ask(environ=variables).gpu_count.error
    assert error in {"NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"}


def test_hang_is_ended() -> None:
    begun = time.monotonic()
    seen = nvml.ask(1.0, environ=double.environ("hangs"))
    assert seen.gpu_count.reason == "TimeoutExpired: no answer within 1 s"
    assert time.monotonic() - begun < 10


def test_shut_down_after() -> None:
    """A snapshot in this very process leaves NVML as it was."""
    code = """
import json, pynvml
from jaxpad import nvml
count = nvml.snapshot().gpu_count.value
try:
    pynvml.nvmlDeviceGetCount()
except pynvml.NVMLError as error:
    print(json.dumps([count, type(error).__name__]))
"""
    assert double.python(double.environ("l4"), code) == [1, "NVMLError_Uninitialized"]
