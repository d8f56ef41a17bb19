"""The double itself: what programs in C and Go ask first, and what the recorded GPU answered.

nvtop, gpustat, nvitop and go-nvml find their calls by name and by other ways than nvidia-ml-py.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pynvml
import pytest

import nvml_double as double
from jaxpad.nvml import GpuState
from nvml_scenario import flatten, load

H100 = "healthy-h100-sxm"
CODES = [*range(31), 999]

# As a C program does it: no wrapper, no structure of nvidia-ml-py.
CODE = """
import ctypes, json, sys
lib = ctypes.CDLL("libnvidia-ml.so.1")
lib.nvmlErrorString.restype = ctypes.c_char_p
handle, count = ctypes.c_void_p(), ctypes.c_uint()
told = {"codes": [], "names": [], "errors": {}, "gpus": []}
for name in ("nvmlInit", "nvmlInit_v2"):
    told["codes"].append(getattr(lib, name)())
for name in ("nvmlDeviceGetCount", "nvmlDeviceGetCount_v2"):
    told["codes"].append(getattr(lib, name)(ctypes.byref(count)))
told["missing"] = [name for name in sys.argv[2].split() if not hasattr(lib, name)]
for code in map(int, sys.argv[1].split()):
    told["errors"][code] = lib.nvmlErrorString(code).decode()

def index(call, *given):
    place, code = ctypes.c_uint(), getattr(lib, call)(*given, ctypes.byref(handle))
    return code or (lib.nvmlDeviceGetIndex(handle, ctypes.byref(place)), place.value)[1]

told["by"] = [
    index("nvmlDeviceGetHandleByUUID", b"GPU-5c1ab303-0d5e-4f6a-9b70-8d2e4c6fa103"),
    index("nvmlDeviceGetHandleByPciBusId_v2", b"00000000:3B:00.0"),
    index("nvmlDeviceGetHandleByPciBusId", b"0000:3b:00.0"),
]
told["unknown"] = [
    index("nvmlDeviceGetHandleByUUID", b"GPU-0"),
    index("nvmlDeviceGetHandleByPciBusId_v2", b"0000:ff:00.0"),
]

def one(call, *given, kind=ctypes.c_uint):
    found = kind()
    code = getattr(lib, "nvmlDeviceGet" + call)(handle, *given, ctypes.byref(found))
    return -code if code else found.value

def many(call, kind, length):
    found = (kind * length)()
    code = getattr(lib, "nvmlDeviceGet" + call)(handle, found)
    return -code if code else list(found)

name = ctypes.create_string_buffer(96)
for at in range(count.value):
    lib.nvmlDeviceGetHandleByIndex(at, ctypes.byref(handle))
    lib.nvmlDeviceGetName(handle, name, 96)
    told["gpus"].append({
        "name": name.value.decode(),
        "memory": many("MemoryInfo", ctypes.c_ulonglong, 3),
        "utilisation": many("UtilizationRates", ctypes.c_uint, 2),
        "clocks": [one("ClockInfo", kind) for kind in (0, 1, 2)],
        "most": [one("MaxClockInfo", kind) for kind in (0, 1, 2)],
        "temperature": one("Temperature", 0),
        "power": one("PowerUsage"),
        "limit": one("EnforcedPowerLimit"),
        "generation": one("CurrPcieLinkGeneration"),
        "width": one("CurrPcieLinkWidth"),
        "state": one("PerformanceState"),
        "fan": one("FanSpeed"),
    })
print(json.dumps(told))
"""


def names() -> list[str]:
    """Every call of NVIDIA's header."""
    found = double._PROTOTYPE.findall(double._bare(double.header().read_text()))
    return sorted({name for name, _ in found})


@cache
def asked(scenario: str = H100) -> Any:
    argv = [sys.executable, "-c", CODE, " ".join(map(str, CODES)), " ".join(names())]
    done = subprocess.run(argv, env=double.environ(scenario), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_starts_by_every_name() -> None:
    assert asked()["codes"] == [0, 0, 0, 0]
    assert len(asked()["gpus"]) == 8


def test_every_call_of_the_header_is_there() -> None:
    assert len(names()) > 300
    assert asked()["missing"] == []


def test_handles_by_name() -> None:
    assert asked()["by"] == [3, 3, 3]
    assert asked()["unknown"] == [pynvml.NVML_ERROR_NOT_FOUND] * 2


def test_every_code_has_its_words() -> None:
    """Those of nvidia-ml-py where it has some of its own."""
    told = {int(code): words for code, words in asked()["errors"].items()}
    assert [code for code in CODES if told[code] == "Unknown Error"] == [999]
    assert len(set(told.values())) == len(CODES)
    ours = pynvml.NVMLError._errcode_to_string
    assert {code: told[code] for code in ours if code in told} == ours


def absent(found: Any) -> Any:
    """A reading as the C program has it: the number, or a code below zero."""
    if found.value is not None:
        return found.value
    kind = getattr(pynvml, found.error, None)
    return -kind().value if kind else found.error


@pytest.mark.parametrize("scenario", [H100, "recorded-h200", "l4", "rtx-4090", "gb200", "gb10"])
def test_same_as_the_snapshot(scenario: str) -> None:
    """What a C program reads is what jaxpad shows, field by field."""
    seen = double.seen(scenario)
    for gpu, told in zip(seen.gpus, asked(scenario)["gpus"], strict=True):
        assert told["name"] == gpu.identity.name.value
        assert told["clocks"] == list(map(absent, now(gpu)))
        assert told["most"] == list(map(absent, most(gpu)))
        assert told["temperature"] == absent(gpu.temperature.gpu_celsius)
        assert told["limit"] == absent(gpu.power.enforced_limit_watts.map(milli))
        assert told["state"] == absent(gpu.modes.performance_state)
        assert [told["generation"], told["width"]] == [
            absent(gpu.pcie.generation),
            absent(gpu.pcie.width),
        ]
        assert told["utilisation"] == both(gpu)
        total = told["memory"] if isinstance(told["memory"], int) else told["memory"][0]
        assert total == absent(gpu.memory.total_bytes)


def now(gpu: GpuState) -> tuple[Any, ...]:
    return gpu.clocks.graphics_mhz, gpu.clocks.sm_mhz, gpu.clocks.memory_mhz


def most(gpu: GpuState) -> tuple[Any, ...]:
    return gpu.clocks.max_graphics_mhz, gpu.clocks.max_sm_mhz, gpu.clocks.max_memory_mhz


def milli(watts: float) -> int:
    return round(watts * 1000)


def both(gpu: GpuState) -> Any:
    rates = gpu.utilisation.gpu_percent, gpu.utilisation.memory_percent
    return absent(rates[0]) if rates[0].reason else [each.value for each in rates]


# What the recorded GPU answers and the others need not: it was alone, in a virtual machine.
OWN = {"GpuFabricInfo.healthSummary"}


def keys(scenario: str) -> set[str]:
    """What the first GPU answers, links and processes aside."""
    found = {key.partition(".")[2] for key in flatten(load(scenario)) if key.startswith("0.")}
    return {key for key in found if not re.match(r"(mig|\w+RunningProcesses)\.", key)}


@pytest.mark.parametrize("scenario", [H100, "idle-h100-sxm"])
def test_answers_what_the_recorded_one_does(scenario: str) -> None:
    assert keys("recorded-h200") - keys(scenario) - OWN == set()


NVITOP = importlib.util.find_spec("nvitop")


@pytest.mark.skipif(not NVITOP, reason="nvitop is not installed")
@pytest.mark.parametrize("scenario", [H100, "recorded-h200", "gb10", "jetson-orin"])
def test_nvitop(scenario: str) -> None:
    assert NVITOP
    assert NVITOP.origin
    found = double.environ(scenario) | {"PYTHONPATH": str(Path(NVITOP.origin).parents[1])}
    argv = [sys.executable, "-m", "nvitop", "-1"]
    done = subprocess.run(argv, env=found, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for gpu in double.seen(scenario).gpus:
        shown = (gpu.identity.name.value or "").removeprefix("NVIDIA ")
        assert shown in done.stdout
        if gpu.temperature.gpu_celsius.value is not None:
            assert f" {gpu.temperature.gpu_celsius.value}C " in done.stdout
