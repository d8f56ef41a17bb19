"""Which platform is expected, and the cause when JAX is elsewhere, on machines laid out here."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaxpad.core import host
from jaxpad.core.host import GpuEvidence
from jaxpad.core.results import UsageError
from jaxpad.machine import devices
from jaxpad.machine.devices import Started
from jaxpad.nvml import Driver

NOTHING = GpuEvidence((), (), None)
ON_BUS = GpuEvidence(("0000:3b:00.0",), (), None)
WORKING = GpuEvidence(("0000:3b:00.0",), ("/dev/nvidia0",), "580.95.05")
CUDA_NAMES = ("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda12-pjrt")
CUDA_PACKAGES = dict.fromkeys(CUDA_NAMES, "0.12.0.1")


def pci_device(sysfs: Path, bus: str, vendor: str, kind: str) -> None:
    device = sysfs / "bus/pci/devices" / bus
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")


def test_evidence_on_the_bus(tmp_path: Path) -> None:
    pci_device(tmp_path, "0000:3b:00.0", "0x10de", "0x030200")
    pci_device(tmp_path, "0000:3b:00.1", "0x10de", "0x040300")  # the card's sound device
    pci_device(tmp_path, "0000:00:02.0", "0x8086", "0x030000")  # another maker's display
    found = host.gpu_evidence(tmp_path, tmp_path / "dev")
    assert found == ON_BUS
    assert found.sentences == ("NVIDIA display device on the PCI bus: 0000:3b:00.0",)


def test_evidence_in_dev(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    nodes = host.gpu_evidence(tmp_path / "sys", tmp_path).nodes
    assert [Path(node).name for node in nodes] == ["nvidia0", "nvidia1"]


def test_evidence_under_wsl(tmp_path: Path) -> None:
    (tmp_path / "dxg").touch()
    assert host.gpu_evidence(tmp_path / "sys", tmp_path)


def test_no_evidence_is_false(tmp_path: Path) -> None:
    assert not host.gpu_evidence(tmp_path, tmp_path)


def test_auto_expects_what_shows() -> None:
    assert devices.expect("auto", {}, ON_BUS, Driver()).platform == "gpu"
    assert devices.expect("auto", {}, NOTHING, Driver(names=("NVIDIA L4",))).platform == "gpu"
    assert devices.expect("auto", {}, NOTHING, Driver(error="no library")).platform == "cpu"


def test_auto_heeds_jax_platforms() -> None:
    asked = devices.expect("auto", {"JAX_PLATFORMS": "cuda"}, NOTHING, Driver())
    assert (asked.platform, asked.why) == ("gpu", "JAX_PLATFORMS=cuda asks for it")


def test_gpu_asked_is_expected_anywhere() -> None:
    assert devices.expect("gpu", {}, NOTHING, Driver()).platform == "gpu"


def test_cpu_asked_beats_evidence() -> None:
    asked = devices.expect("cpu", {}, WORKING, Driver())
    assert (asked.platform, devices.jax_platforms(asked)) == ("cpu", {"JAX_PLATFORMS": "cpu"})


def test_auto_leaves_the_users_setting() -> None:
    """Else a JAX_PLATFORMS=cpu on a GPU machine would never show."""
    asked = devices.expect("auto", {"JAX_PLATFORMS": "cpu"}, WORKING, Driver())
    assert (asked.platform, devices.jax_platforms(asked)) == ("gpu", {})


def test_gpu_asked_sets_nothing() -> None:
    """Else JAX raises, and names a variable that the user never set."""
    assert devices.jax_platforms(devices.expect("gpu", {}, WORKING, Driver())) == {}


def test_unknown_platform_refused() -> None:
    with pytest.raises(UsageError, match="unknown platform 'tpu': expected auto, gpu or cpu"):
        devices.expect("tpu", {}, NOTHING, Driver())


CUDA_ERROR = "RuntimeError: cuInit(0) failed: CUDA_ERROR_UNKNOWN"
NO_CUDNN = "RuntimeError: Unable to load cuDNN. Is it installed?"
NO_DEVICE = "RuntimeError: cuInit(0) failed: error 100: CUDA_ERROR_NO_DEVICE"
FABRIC = "RuntimeError: cuInit(0) failed: CUDA_ERROR_SYSTEM_NOT_READY"
COMPAT = "RuntimeError: cuInit(0) failed: CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"
VERSIONS = """Version JAX was built against: 120304
Minimum supported: 120103
Installed version: 120002
"""
OUTDATED = f"Traceback (most):\nRuntimeError: Outdated cuBLAS installation found.\n{VERSIONS}"
ISSUES = (
    "RuntimeError: Unable to use CUDA because of the following issues with CUDA components:\n"
    f"Outdated cuDNN installation found.\n{VERSIONS}"
)
CLASSIC = (
    "W1122 xla_bridge.py:1] CUDA backend failed to initialize: Found CUDA version 12010, but "
    "JAX was built against version 12020, which is newer."
)
CU_INIT = "E1122 cuda_driver.cc:1] failed call to cuInit: CUDA_ERROR_UNKNOWN: unknown error"
VISIBLE = "CUDA_VISIBLE_DEVICES"
OLDER = {"LD_LIBRARY_PATH": "/opt/x:/usr/local/cuda-12.2/lib64"}
NO_PJRT = dict.fromkeys(CUDA_NAMES[:3], "0.12.0.1")
OTHER_JAXLIB = CUDA_PACKAGES | {"jaxlib": "0.10.2"}
NO_PLUGIN = {"jax": "0.12.0.1", "jaxlib": "0.12.0.1"}


@pytest.mark.parametrize(
    ("environ", "gpus", "packages", "log", "reason", "remedy"),
    [
        ({"JAX_PLATFORMS": "cpu"}, WORKING, CUDA_PACKAGES, "", "keeps JAX off", "unset JAX_PLAT"),
        ({"CUDA_VISIBLE_DEVICES": ""}, WORKING, CUDA_PACKAGES, "", "hides every", "unset CUDA_VIS"),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, ON_BUS, CUDA_PACKAGES, "", "hides", "unset NVIDIA"),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, WORKING, CUDA_PACKAGES, "", "no reason", "read test"),
        ({}, WORKING, NO_PLUGIN, "", "no CUDA plugin", "requirements/cuda12.txt"),
        ({}, WORKING, OTHER_JAXLIB, "", "does not go with jaxlib 0.10.2", "install"),
        ({}, ON_BUS, CUDA_PACKAGES, "", "no NVIDIA kernel driver", "modprobe nvidia"),
        ({}, NOTHING, CUDA_PACKAGES, "", "there is no NVIDIA kernel driver", "--gpus all"),
        ({}, WORKING, CUDA_PACKAGES, CUDA_ERROR, "CUDA_ERROR_UNKNOWN", "nvidia-smi"),
        ({}, WORKING, CUDA_PACKAGES, NO_CUDNN, "cuDNN", "install"),
        ({}, WORKING, CUDA_PACKAGES, "", "JAX gave no reason", "--platform cpu"),
        ({"JAX_PLATFORM_NAME": "cpu"}, WORKING, CUDA_PACKAGES, "", "keeps JAX", "unset JAX_PLATF"),
        ({VISIBLE: "NoDevFiles"}, WORKING, CUDA_PACKAGES, NO_DEVICE, "NoDevFiles hides", "--gres"),
        ({VISIBLE: "-1,0"}, WORKING, CUDA_PACKAGES, NO_DEVICE, "hides every GPU", "unset CUDA_"),
        ({VISIBLE: "MIG-1a2b"}, WORKING, CUDA_PACKAGES, NO_DEVICE, "NO_DEVICE", "MIG-1a2b names"),
        ({VISIBLE: "0"}, WORKING, CUDA_PACKAGES, CUDA_ERROR, "UNKNOWN", "nvidia-smi"),
        ({}, WORKING, CUDA_PACKAGES, NO_DEVICE, "NO_DEVICE", "--gpus all"),
        ({}, WORKING, CUDA_PACKAGES, FABRIC, "NOT_READY", "nvidia-fabricmanager"),
        ({}, WORKING, CUDA_PACKAGES, COMPAT, "COMPAT", "cuda-compat"),
        (OLDER, WORKING, CUDA_PACKAGES, NO_CUDNN, "cuDNN", "unset LD_LIBRARY_PATH"),
        (OLDER, WORKING, CUDA_PACKAGES, OUTDATED, "120304", "unset LD_LIBRARY_PATH"),
        ({}, WORKING, CUDA_PACKAGES, OUTDATED, "Installed version: 120002", "brings cuBLAS"),
        ({}, WORKING, CUDA_PACKAGES, ISSUES, "Outdated cuDNN", "brings cuDNN"),
        ({}, WORKING, CUDA_PACKAGES, CLASSIC, "12020", "update the driver"),
        ({}, WORKING, CUDA_PACKAGES, CU_INIT, "failed call to cuInit", "nvidia-smi"),
        ({}, WORKING, NO_PJRT, "", "jax-cuda12-pjrt is missing", "pip install jax-cuda12-pjrt==0"),
    ],
)
def test_fallback_cause_named(
    environ: dict[str, str],
    gpus: GpuEvidence,
    packages: dict[str, str],
    log: str,
    reason: str,
    remedy: str,
) -> None:
    cause = devices.fallback(environ, gpus, Driver(), packages, Started("cpu", log=log))
    assert reason in cause.reason
    assert remedy in cause.remedy
