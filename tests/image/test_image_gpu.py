"""How a GPU gets into a container, through the mechanisms of the NVIDIA Container Toolkit.

No GPU is here: a CDI specification, which is what the toolkit writes, brings in a double of the
driver's NVML library and a device node that leads nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from images import Built, jaxpad, output
from test_nvml import DOUBLE

SPEC = Path("/var/run/cdi/jaxpad-tests.json")
INSIDE = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1"


@pytest.fixture
def cdi(tmp_path: Path) -> Iterator[None]:
    """A CDI device nvidia.com/gpu=all."""
    source, library = tmp_path / "double.c", tmp_path / "libnvidia-ml.so.1"
    source.write_text(DOUBLE)
    output(["cc", "-shared", "-fPIC", "-o", str(library), str(source)])
    library.chmod(0o755)
    edits = {
        "deviceNodes": [{"path": "/dev/nvidia0", "hostPath": "/dev/null"}],
        "mounts": [{"hostPath": str(library), "containerPath": INSIDE, "options": ["ro", "bind"]}],
        "env": ["NVIDIA_VISIBLE_DEVICES=void"],
    }
    spec = {"cdiVersion": "0.3.0", "kind": "nvidia.com/gpu"}
    devices = [{"name": "all", "containerEdits": edits}]
    SPEC.parent.mkdir(parents=True, exist_ok=True)
    SPEC.write_text(json.dumps(spec | {"devices": devices}))
    yield
    SPEC.unlink()


def test_podman_injects_by_cdi(podman_image: str, cdi: None, tmp_path: Path) -> None:
    """The suite sees the GPU through NVML, sees that JAX does not, and says why."""
    words = ["--on", "podman", "--image", podman_image, "--gpus", "all", "--out", "out"]
    done = jaxpad("smoke", *words, "-k", "test_devices or environment", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    report = json.loads((tmp_path / "out/smoke.json").read_text())
    assert report["versions"]["driver"]["value"] == "580.95.05"
    assert "device node /dev/nvidia0" in report["platform"]["evidence"]
    assert "NVML counts 2 GPU(s)" in report["platform"]["evidence"]
    failed = next(c for c in report["checks"] if c["name"] == "test_platform_expected")
    assert failed["verdict"] == "fail"
    assert "the CUDA plugin could not start" in failed["reason"]
    assert "VISIBLE_DEVICES" not in failed["reason"]


def test_podman_without_a_specification(podman_image: str, tmp_path: Path) -> None:
    words = ["--engine", "podman", "--image", podman_image, "--gpus", "all", "--", "true"]
    done = jaxpad("launch", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "invoke doctor" in done.stderr.splitlines()[-1]


def test_docker_without_the_toolkit(toolbox: Built, tmp_path: Path) -> None:
    words = ["--engine", "docker", "--image", toolbox.name, "--gpus", "all", "--", "true"]
    done = jaxpad("launch", *words, cwd=tmp_path)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert "NVIDIA Container Toolkit" in last
    assert "--gpus none" in last


def test_no_gpu_is_told_and_runs(toolbox: Built, tmp_path: Path) -> None:
    """As a newcomer types it, on a machine that shows no GPU."""
    script = "import jax; print(jax.devices()[0].platform)"
    words = ["--image", toolbox.name, "--", "python", "-c", script]
    done = jaxpad("launch", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "cpu\n"), done.stderr
    assert "JAX computes on the CPU" in done.stderr
