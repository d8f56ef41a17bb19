"""The driver, and the CUDA it is new enough for, on machines laid out here."""

from __future__ import annotations

from pathlib import Path

import pytest

from jaxpad.doctor import model
from jaxpad.nvml import Driver
from test_doctor_machine import PROC, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.gpus(2)
    machine.docker()
    return machine


def test_driver_answers(machine: Machine) -> None:
    found = machine.ask("driver")
    assert (found.verdict, found.remedy) == ("pass", "")
    assert found.found == "driver 580.95.05 answers, with 2 GPU(s): NVIDIA L4"


def test_no_driver(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpus(version=None)
    found = machine.ask("driver")
    assert (found.verdict, "modprobe nvidia" in found.remedy) == ("fail", True)
    assert "no kernel driver is loaded: NVIDIA display device" in found.found
    assert machine.ask("cuda").verdict == "inconclusive"


def test_nouveau_named(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpus(version=None)
    machine.write("sys/module/nouveau/initstate", "live\n")
    assert "nouveau holds the GPU" in machine.ask("driver").found


@pytest.mark.parametrize(
    "answer",
    [
        Driver(
            error="NVMLError_LibRmVersionMismatch: RM has detected an NVML/RM version mismatch."
        ),
        Driver("575.57.08", "12.9", ("NVIDIA L4",) * 2),
    ],
)
def test_update_without_reboot(machine: Machine, answer: Driver) -> None:
    machine.driver = answer
    found = machine.ask("driver")
    assert (found.verdict, "version mismatch" in found.found) == ("fail", True)
    assert found.remedy.startswith("reboot")


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [
        (Driver(error="NVML did not answer within 30 s"), "fail", "within 30 s"),
        (Driver(error="NVMLError_LibraryNotFound: no"), "fail", "LibraryNotFound"),
        (Driver(error="ModuleNotFoundError: pynvml"), "inconclusive", "cannot be asked"),
        (Driver("580.95.05", "13.0", ()), "fail", "0 GPU(s)"),
        (Driver("580.95.05", "13.0", ("L4", "unreadable (lost)")), "fail", "unreadable"),
        (Driver("580.95.05", "13.0", ("L4",)), "inconclusive", "of 2 on the PCI bus"),
    ],
)
def test_driver_in_trouble(machine: Machine, answer: Driver, verdict: str, words: str) -> None:
    machine.driver = answer
    found = machine.ask("driver")
    assert (found.verdict, words in found.found) == (verdict, True), found


def test_wsl_has_no_kernel_module(tmp_path: Path) -> None:
    machine = Machine(tmp_path, driver=Driver("581.29", "13.0", ("RTX 4090",)))
    machine.write("dev/dxg")
    assert machine.ask("driver").verdict == "pass"


@pytest.mark.parametrize(
    ("version", "verdict", "words"),
    [
        ("580.95.05", "pass", "new enough for CUDA 13"),
        ("535.183.01", "pass", "too old for CUDA 13, which needs 580.65.06"),
        ("470.82.01", "fail", "too old for CUDA 12, which needs 525.60.13"),
    ],
)
def test_cuda_of_no_image(tmp_path: Path, version: str, verdict: str, words: str) -> None:
    machine = Machine(tmp_path)
    machine.gpus(version=version)
    found = machine.ask("cuda")
    assert (found.verdict, words in found.found) == (verdict, True), found


@pytest.mark.parametrize(
    ("image", "verdict", "words"),
    [
        ("jaxpad:cuda12", "pass", "new enough for CUDA 12"),
        ("jaxpad:cuda13", "fail", "too old for CUDA 13"),
        ("jaxpad:cuda14", "inconclusive", "says CUDA 14"),
        ("debian", "inconclusive", "no label io.jaxpad.cuda"),
        ("nowhere", "inconclusive", "No such image"),
    ],
)
def test_cuda_of_image(machine: Machine, image: str, verdict: str, words: str) -> None:
    machine.gpus(2, "535.183.01")
    machine.options["image"] = image
    found = machine.ask("cuda")
    assert (found.verdict, words in found.found) == (verdict, True), found


def test_kernel_version_serves_where_nvml_is_silent(machine: Machine) -> None:
    machine.driver = Driver(error="NVMLError_Unknown: Unknown Error")
    machine.write("proc/driver/nvidia/version", PROC.format("535.183.01"))
    assert "driver 535.183.01 is too old for CUDA 13" in machine.ask("cuda").found


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [
        ("525.60.11", "525.60.13", True),
        ("525.60.13", "525.60.13", False),
        ("1000.1", "580.65.06", False),
        ("20.10.24+dfsg1", "23.0", True),
        ("v1.18.0", "1.18", False),
    ],
)
def test_versions_compare(version: str, than: str, expected: bool) -> None:
    assert model.older_than(version, than) is expected


def test_version_without_numbers() -> None:
    with pytest.raises(ValueError, match="'N/A' is no version"):
        model.numbers("N/A")
