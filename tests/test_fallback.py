"""Silent CPU fallback with the real `jax[cuda12]` wheels, on machines that seem to have a GPU.

The wheels are installed for this Python (5.5 GB). No GPU is needed: a device node is an
empty file, a PCI device two small ones, and the driver a library that fails to initialise.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME, environ

BROKEN_DRIVER = """
int cuInit(unsigned flags) { return 999; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuGetErrorName(int code, const char **text) { *text = "CUDA_ERROR_UNKNOWN"; return 0; }
int cuGetErrorString(int code, const char **text) { *text = "unknown error"; return 0; }
"""
# Runs the checks of argv on the machine laid out in its first folder, and prints the report.
SMOKE = """
import json, os, sys
from pathlib import Path
from jaxpad import health, report
from jaxpad.core import paths
from jaxpad.smoke import collection, runner
root, *names = Path(sys.argv[1]), *sys.argv[2:]
wanted = tuple(c for c in collection.collect(paths.SMOKE_TESTS) if c.name in names)
plan = collection.Plan(wanted, dict(os.environ), roots=health.Roots(root / "sys", root / "dev"))
print(json.dumps(report.to_json(runner.run(plan))))
"""


@pytest.fixture(scope="module")
def cuda_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with requirements/cuda12.txt, and nothing of this one."""
    folder = tmp_path_factory.mktemp("cuda") / "venv"
    python = folder / "bin/python"
    uv = [sys.executable, "-m", "uv", "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(folder)], check=True)
    pins = HOME / "requirements/cuda12.txt"
    sync = ["pip", "sync", "--require-hashes", "--python", str(python), str(pins)]
    subprocess.run([*uv, *sync], check=True)
    return python


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Folders `sys` and `dev` to put signs of a GPU into."""
    for name in ("sys/bus/pci/devices", "dev"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def node(machine: Path) -> None:
    (machine / "dev/nvidia0").touch()


def pci_device(machine: Path) -> None:
    device = machine / "sys/bus/pci/devices/0000:3b:00.0"
    device.mkdir()
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")


def run(python: Path, machine: Path, *more: str, **added: str) -> tuple[int, dict[str, Any]]:
    """Exit code of the run, and the result of the platform check; `more` checks pass."""
    argv = [str(python), "-c", SMOKE, str(machine), "test_platform_expected", *more]
    done = subprocess.run(argv, env=environ(**added), capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert {name: verdicts[name] for name in more} == dict.fromkeys(more, "pass")
    assert report["platform"]["found"] == "cpu", "JAX starts: on the CPU, and says nothing"
    assert report["versions"]["xla"]["value"]
    found = next(c for c in report["checks"] if c["name"] == "test_platform_expected")
    return report["exit_code"], found


def test_device_node_without_driver(cuda_python: Path, machine: Path) -> None:
    node(machine)
    code, check = run(cuda_python, machine)
    assert (code, check["verdict"]) == (1, "fail")
    assert "cuInit(0) failed" in check["reason"]
    assert "nvidia-smi" in check["remedy"]


def test_driver_that_fails_to_initialise(cuda_python: Path, machine: Path) -> None:
    source = machine / "driver.c"
    source.write_text(BROKEN_DRIVER)
    library = machine / "libcuda.so.1"
    build = ["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", str(library), str(source)]
    subprocess.run(build, check=True)
    node(machine)
    code, check = run(cuda_python, machine, LD_LIBRARY_PATH=str(machine))
    assert (code, check["verdict"]) == (1, "fail")
    assert "CUDA_ERROR_UNKNOWN" in check["reason"]
    assert "the driver does not answer" in check["remedy"]


def test_pci_device_without_driver(cuda_python: Path, machine: Path) -> None:
    pci_device(machine)
    code, check = run(cuda_python, machine)
    assert (code, check["verdict"]) == (1, "fail")
    assert "1 NVIDIA device(s) on the PCI bus, but no NVIDIA kernel driver" in check["reason"]
    assert "modprobe nvidia" in check["remedy"]


def test_variable_that_forbids_the_gpu(cuda_python: Path, machine: Path) -> None:
    node(machine)
    code, check = run(cuda_python, machine, JAX_PLATFORMS="cpu")
    assert (code, check["verdict"]) == (1, "fail")
    assert "JAX_PLATFORMS=cpu keeps JAX off the GPU" in check["reason"]


def test_plugin_without_libraries(machine: Path) -> None:
    """As with requirements/proof.txt: the plugin is there, NVIDIA's libraries are not."""
    node(machine)
    code, check = run(Path(sys.executable), machine)
    assert (code, check["verdict"]) == (1, "fail")
    assert "requirements/cuda12.txt" in check["remedy"]


def test_no_sign_of_a_gpu(cuda_python: Path, machine: Path) -> None:
    code, check = run(cuda_python, machine, "test_jax_starts", "test_item_assignment")
    assert (code, check["verdict"]) == (0, "pass")
