"""Why JAX is not on the GPU, told alike however the GPU was asked for, by a JAX as it is.

JAX looks at the real /dev, so each run has device nodes in a mount namespace of its own. The
driver and CUDA's libraries are doubles that give versions and errors; the plugin is the real
one of requirements/proof.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ports
from helpers import HOME, environ, smoke_argv
from test_smoke import unshared

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")

DRIVER = """
#include <stdlib.h>
int cuInit(unsigned flags) { return atoi(getenv("DOUBLE_CUINIT")); }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuGetErrorName(int code, const char **text) {
    *text = code == 802 ? "CUDA_ERROR_SYSTEM_NOT_READY" : "CUDA_ERROR_NO_DEVICE";
    return 0;
}
int cuGetErrorString(int code, const char **text) { *text = "in words"; return 0; }
"""
# What jaxlib's cuda/versions_helpers.cc asks for: versions newer than any it was built with.
TOOLKIT = """
#include <stddef.h>
#include <stdlib.h>
static int part(int whole, int which, int *out) {
    *out = which == 0 ? whole / 10000 : which == 1 ? whole / 100 % 100 : whole % 100;
    return 0;
}
static int blas(void) { const char *v = getenv("DOUBLE_CUBLAS"); return v ? atoi(v) : 129900; }
int cudaRuntimeGetVersion(int *version) { *version = 12990; return 0; }
size_t cudnnGetVersion(void) { return 99900; }
int cufftGetVersion(int *version) { *version = 11990; return 0; }
int cufftGetProperty(int which, int *out) { return part(119900, which, out); }
int cuptiGetVersion(unsigned *version) { *version = 99; return 0; }
int cublasGetProperty(int which, int *out) { return part(blas(), which, out); }
int cusparseGetProperty(int which, int *out) { return part(129900, which, out); }
int cublasGetVersion_v2(void *handle, int *version) { *version = blas(); return 0; }
int cusolverGetVersion(int *version) { *version = 11990; return 0; }
"""
LIBRARIES: tuple[str, ...] = (
    "cudart.so.12",
    "nvrtc.so.12",
    "cublas.so.12",
    "cublasLt.so.12",
    "cupti.so.12",
)
LIBRARIES += ("cusparse.so.12", "cusolver.so.11", "cufft.so.11", "cufft.so.12", "cudnn.so.9")
CHECKS = "jax_starts or platform_expected"


def build(folder: Path, name: str, source: str) -> None:
    file = folder / f"{name}.c"
    file.write_text(source)
    named = f"-Wl,-soname,lib{name}"
    subprocess.run(["cc", "-shared", "-fPIC", named, "-o", folder / f"lib{name}", file], check=True)
    file.unlink()


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    build(folder, "cuda.so.1", DRIVER)
    return folder


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toolkit")
    for name in LIBRARIES:
        build(folder, name, TOOLKIT)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with all that this one has but for the CUDA plugin."""
    folder = tmp_path_factory.mktemp("plain")
    packages = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    packages.mkdir(parents=True)
    for one in Path(sysconfig.get_path("purelib")).iterdir():
        if not one.name.startswith(("jax_cuda", "jax_plugins")):
            (packages / one.name).symlink_to(one)
    (folder / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix) / 'bin'}\n")
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(Path(sys.executable).resolve())
    return folder / "bin/python"


def run(argv: list[str], **added: str) -> str:
    """What a command says on a machine with a GPU's nodes in /dev; never a traceback."""
    lay = "mount --rbind /dev /mnt && mount -t tmpfs tmpfs /dev && "
    lay += "touch /dev/nvidia0 /dev/nvidiactl && for n in null zero urandom random; do "
    lay += "touch /dev/$n; mount --bind /mnt/$n /dev/$n; done; mkdir /dev/shm"
    done = subprocess.run(
        [*unshared(lay), *argv], env=environ(**added), capture_output=True, text=True, cwd=HOME
    )
    assert done.returncode == 1, done.stderr
    told = done.stdout + done.stderr
    assert "Traceback" not in told
    assert "JAX_PLATFORMS=''" not in told, "JAX's advice on what the user has not set"
    return " ".join(told.split())


ASKED = [("gpu", ""), ("auto", "cuda,cpu")]  # test_fallback.py has auto by itself


def asked_by(variable: str) -> dict[str, str]:
    return {"JAX_PLATFORMS": variable} if variable else {}


@pytest.mark.parametrize(("platform", "variable"), ASKED)
def test_no_plugin(plain: Path, platform: str, variable: str, tmp_path: Path) -> None:
    argv = smoke_argv(tmp_path, "--platform", platform, "-k", CHECKS)
    told = run([str(plain), *argv[1:]], **asked_by(variable))
    assert "this JAX has no CUDA plugin" in told
    assert "1 fail" in told


@pytest.mark.parametrize(("platform", "variable"), ASKED)
@pytest.mark.parametrize(
    ("given", "words", "remedy"),
    [
        ({"DOUBLE_CUINIT": "802"}, "CUDA_ERROR_SYSTEM_NOT_READY", "start the fabric manager"),
        (
            {"DOUBLE_CUINIT": "100", "CUDA_VISIBLE_DEVICES": "NoDevFiles"},
            "NoDevFiles hides every GPU",
            "--gres=gpu:1",
        ),
        (
            {"DOUBLE_CUINIT": "0", "DOUBLE_CUBLAS": "120002"},
            "Outdated cuBLAS installation found. Version JAX was built against",
            "unset LD_LIBRARY_PATH",
        ),
    ],
)
def test_same_cause(
    driver: Path,
    toolkit: Path,
    given: dict[str, str],
    words: str,
    remedy: str,
    platform: str,
    variable: str,
    tmp_path: Path,
) -> None:
    argv = smoke_argv(tmp_path, "--platform", platform, "-k", CHECKS)
    found = {"LD_LIBRARY_PATH": f"{driver}:{toolkit}"} | given | asked_by(variable)
    told = run(argv, **found)
    assert words in told
    assert remedy in told
    assert "1 fail" in told
    assert f"the CUDA of {driver}" not in told, "a driver's library is no CUDA toolkit"


@pytest.mark.parametrize("variable", ["", "cuda"])
def test_multi_tells_the_same(
    driver: Path, toolkit: Path, plain: Path, variable: str, tmp_path: Path
) -> None:
    """It names the platform for JAX itself, and JAX says nothing of the plugin's own error."""
    place = {"JAXPAD_PROCESS": "0", "JAXPAD_PROCESSES": "1"}
    place |= {"JAXPAD_COORDINATOR": f"127.0.0.1:{ports.free()}"} | asked_by(variable)
    words = ["-m", "jaxpad", "multi", "--out"]
    found = {"LD_LIBRARY_PATH": f"{driver}:{toolkit}", "DOUBLE_CUINIT": "802"}
    told = run([sys.executable, *words, str(tmp_path / "a")], **place, **found)
    assert "CUDA_ERROR_SYSTEM_NOT_READY" in told
    assert "start the fabric manager" in told
    assert "Traceback" in (tmp_path / "a/log-0.txt").read_text()
    told = run([str(plain), *words, str(tmp_path / "b")], **place)
    assert "this JAX has no CUDA plugin" in told
