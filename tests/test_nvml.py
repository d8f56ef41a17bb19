"""The driver's account, through unmodified nvidia-ml-py over a double of libnvidia-ml.so.1."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from helpers import environ, smoke
from jaxpad.machine import facts
from jaxpad.nvml import Driver

DOUBLE = """
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static const char *mood(void) { const char *m = getenv("DOUBLE_MOOD"); return m ? m : "well"; }
static int is(const char *m) { return strcmp(mood(), m) == 0; }
int nvmlInitWithFlags(unsigned flags) {
    if (is("hangs")) sleep(600);
    if (is("crashes")) abort();
    return is("no driver") ? 9 : 0;
}
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Unknown Error"; }
int nvmlSystemGetDriverVersion(char *out, unsigned n) { strncpy(out, "580.95.05", n); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { *out = 13000; return is("old") ? 13 : 0; }
int nvmlDeviceGetCount_v2(unsigned *out) { *out = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **out) {
    *out = (void *)(size_t)(i + 1);
    return i == 1 && is("lost") ? 15 : 0;
}
int nvmlDeviceGetName(void *gpu, char *out, unsigned n) { strncpy(out, "NVIDIA L4", n); return 0; }
"""


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder to put on LD_LIBRARY_PATH."""
    folder = tmp_path_factory.mktemp("nvml")
    source, library = folder / "double.c", folder / "libnvidia-ml.so.1"
    source.write_text(DOUBLE)
    build = ["cc", "-shared", "-fPIC", "-Wl,-soname,libnvidia-ml.so.1", "-o"]
    subprocess.run([*build, str(library), str(source)], check=True)
    return str(folder)


def read(double: str, mood: str = "well") -> Driver:
    return facts.read_driver(environ(LD_LIBRARY_PATH=double, DOUBLE_MOOD=mood))


def test_driver_described(double: str) -> None:
    assert read(double) == Driver("580.95.05", "13.0", ("NVIDIA L4", "NVIDIA L4"))


def test_lost_gpu_keeps_its_place(double: str) -> None:
    names = read(double, "lost").names
    assert names[0] == "NVIDIA L4"
    assert names[1].startswith("unreadable (NVMLError_GpuIsLost")


def test_missing_call_leaves_the_rest(double: str) -> None:
    assert (read(double, "old").cuda, read(double, "old").version) == (None, "580.95.05")


def test_driver_not_loaded(double: str) -> None:
    assert "Driver Not Loaded" in (read(double, "no driver").error or "")


def test_crash_stays_in_the_child(double: str) -> None:
    assert "ended its process with code -6" in (read(double, "crashes").error or "")


def test_hang_is_ended(double: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "NVML_LIMIT", 2.0)
    assert "did not answer within 2 s" in (read(double, "hangs").error or "")


def test_no_library(tmp_path: Path) -> None:
    error = read(str(tmp_path)).error or ""
    assert "NVMLError_LibraryNotFound" in error or "NVMLError_DriverNotLoaded" in error


def test_counted_gpu_is_expected(double: str, tmp_path: Path) -> None:
    """NVML counts two GPUs and JAX is on the CPU: a failure, not a quiet fallback."""
    run = smoke(tmp_path, "-k", "platform_expected or driver_recent", LD_LIBRARY_PATH=double)
    assert run.code == 1, run.stderr
    assert run.report["platform"]["evidence"] == ["NVML counts 2 GPU(s)"]
    assert run.verdicts() == {"test_platform_expected": "fail", "test_driver_recent": "pass"}
    assert run.report["versions"]["driver"]["value"] == "580.95.05"
