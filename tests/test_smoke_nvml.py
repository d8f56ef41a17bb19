"""`jaxpad smoke` where NVML answers: what the runner saw of the GPUs is in the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pynvml
import pytest

import nvml_double as double
from helpers import HOME, SmokeRun, environ as base_environ, smoke
from nvml_double import VARIABLE

DRIVER = ("--platform", "cpu", "-k", "health or gates or watched")


def variables(scenario: str = "idle-h100-sxm") -> dict[str, str]:
    """What makes a child find the double."""
    found = double.environ(scenario)
    return {name: found[name] for name in ("LD_LIBRARY_PATH", double.VARIABLE)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmokeRun, Path]:
    folder = tmp_path_factory.mktemp("nvml")
    bounds = folder / "own.toml"
    bounds.write_text("pcie_replays_most = 200\n")
    options = (*DRIVER, "--strict", "--thresholds", str(bounds))
    return smoke(folder / "out", *options, **variables()), folder / "out"


def test_gpus_are_told(run: tuple[SmokeRun, Path]) -> None:
    found = run[0]
    assert found.code == 0, found.stderr
    gpus = found.report["gpus"]
    assert [(gpu["index"], gpu["description"]) for gpu in gpus] == [
        (n, "h100-sxm") for n in range(8)
    ]
    assert gpus[0]["peaks"]["bf16"] == 989
    assert gpus[0]["readings"]["power.draw_watts"]["value"] == "71.3"
    assert gpus[0]["readings"]["nvlinks.17.active"]["value"] == "True"
    assert {each["verdict"] for each in gpus[0]["findings"]} == {"pass", "not applicable"}
    assert gpus[0]["devices"] == []  # JAX computes on the CPU


def test_names_are_kept_back(run: tuple[SmokeRun, Path]) -> None:
    written = "".join(file.read_text() for file in run[1].iterdir())
    assert "GPU-5c1a<redacted>" in written or "GPU-5c1a&lt;redacted&gt;" in written
    for secret in ("5c1ab300-", "16540230100"):
        assert secret not in written


def test_traces_are_of_the_run(run: tuple[SmokeRun, Path]) -> None:
    found, out = run
    traces = json.loads((out / "traces.json").read_text())
    assert traces["error"] is None
    assert len(traces["gpus"]) == 8
    times = traces["gpus"][0]["time_s"]
    assert 0 < times[0] < times[-1] < found.report["seconds"]
    began = [check["began"] for check in found.report["checks"]]
    assert began == sorted(began)
    assert traces["start_s"] < began[-1] < traces["stop_s"]


def test_overrides_are_told(run: tuple[SmokeRun, Path]) -> None:
    first, second = run[0].report["overrides"]
    assert first.startswith("pcie_replays_most = 200 ")
    assert second.startswith("--strict")


def test_no_traces_without_nvml(tmp_path: Path) -> None:
    found = smoke(tmp_path, *DRIVER)
    assert found.code == 0
    assert found.report["gpus"] == []
    assert not (tmp_path / "traces.json").exists()


def test_mistake_in_thresholds(tmp_path: Path) -> None:
    bounds = tmp_path / "own.toml"
    bounds.write_text("gemm_leest = 0.6\n")
    found = smoke(tmp_path / "out", "--thresholds", str(bounds))
    assert found.code == 2
    assert "did you mean gemm_least" in found.stderr
    assert not (tmp_path / "out").exists()


def test_visible_gpus_alone(tmp_path: Path) -> None:
    """CUDA_VISIBLE_DEVICES leaves a neighbour's broken GPU to its owner.

    The double's CUDA counts backwards: its first two devices are NVML's last two.
    """
    environ = double.environ("idle-h100-sxm", {"3.TotalEccErrors.1.0": 2, "cuda.count": 2})
    given = {name: environ[name] for name in ("LD_LIBRARY_PATH", double.VARIABLE)}
    asked = ("--platform", "cpu", "-k", "test_ecc")
    assert smoke(tmp_path / "all", *asked, **given).check("test_ecc")["verdict"] == "fail"
    ours = smoke(tmp_path / "ours", *asked, CUDA_VISIBLE_DEVICES="6,7", **given)
    assert ours.check("test_ecc")["verdict"] == "pass"


@pytest.mark.parametrize(
    ("scenario", "asked", "shown", "verdict", "words"),
    [
        ("idle-h100-sxm", "8", {}, "pass", ""),
        ("idle-h100-sxm", "9", {}, "fail", "8 GPU(s), 9 expected"),
        ("no-driver", "8", {}, "fail", "the driver lists 0 GPUs"),
        ("idle-h100-sxm", "8", {"CUDA_VISIBLE_DEVICES": "6,7"}, "fail", "leaves 2 of 8 GPUs"),
    ],
)
def test_as_many_as_expected(
    scenario: str, asked: str, shown: dict[str, str], verdict: str, words: str, tmp_path: Path
) -> None:
    """Counted also where -k names another check, and told before all else."""
    asks = ("--platform", "cpu", "--expect", asked, "-k", "test_platform or test_cache_w")
    given = variables(scenario) if scenario != "no-driver" else {}
    if shown:
        environ = double.environ(scenario, {"cuda.count": 2})
        given = {name: environ[name] for name in ("LD_LIBRARY_PATH", double.VARIABLE)}
    found = smoke(tmp_path, *asks, JAX_COMPILATION_CACHE_DIR="/proc/none", **given, **shown)
    told = found.check("test_count")
    assert told["verdict"] == verdict
    assert words in told["reason"]
    first = "test_health.py::test_count" if words else "test_environment.py::test_cache_writable"
    assert f"1. Begin with {first}" in found.stderr


def test_expecting_gpus_is_expecting_the_gpu(tmp_path: Path) -> None:
    found = smoke(tmp_path, "--expect", "8", "-k", "test_platform_expected")
    assert found.code == 1
    assert found.report["platform"]["why"] == "--expect 8 asks for it"


_LATER = """
import os
from pathlib import Path

def test_driver_changes():
    scenario = Path(os.environ["JAXPAD_TEST_SCENARIO"])
    scenario.write_text(scenario.read_text() + {changes!r})
"""


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ("hang_s 600\n", "inconclusive", "in the second look: no GPU was seen"),
        ("init !999\n", "inconclusive", "in the second look: no GPU was seen"),
        ("0.TotalEccErrors.1.0 2\n", "fail", "GPU 0: 2 uncorrected ECC errors"),
    ],
)
def test_driver_that_changes_in_mid_run(
    changes: str, verdict: str, words: str, tmp_path: Path
) -> None:
    """The last look at the counters, where the driver is another than at the first."""
    checks = tmp_path / "smoke_tests"
    checks.mkdir()
    (checks / "test_later.py").write_text(_LATER.format(changes=changes))
    asks = ("--platform", "cpu", "-k", "test_count or test_driver_ch or test_counters")
    given = variables() | {"JAXPAD_PROJECT": str(tmp_path)}
    found = smoke(tmp_path / "out", *asks, **given)
    told = found.check("test_counters_stay")
    assert (told["verdict"], words in told["reason"]) == (verdict, True), told
    assert told["remedy"]
    assert "Traceback" not in found.stderr


def older_pynvml(folder: Path, lacks: str = "") -> Path:
    """A package as pynvml 11.5.3, which shadows nvidia-ml-py's module and lacks newer calls."""
    old = folder / "pynvml"
    old.mkdir(parents=True)
    (old / "nvml.py").write_text(f"{Path(pynvml.__file__).read_text()}\n{lacks}\n")
    (old / "__init__.py").write_text("from .nvml import *\n")
    return old


@pytest.mark.parametrize("lacks", ["", "del nvmlDeviceGetTemperatureV"])
def test_another_pynvml_is_named(lacks: str, tmp_path: Path) -> None:
    old = older_pynvml(tmp_path / "old", lacks)
    given = {name: double.environ("idle-h100-sxm")[name] for name in ("LD_LIBRARY_PATH", VARIABLE)}
    environ = base_environ(**given) | {"PYTHONPATH": f"{old.parent}:{HOME}"}
    for words in (
        ("health",),
        ("doctor", "--json"),
        ("smoke", "--platform", "cpu", "-k", "test_driver", "--out", str(tmp_path / "out")),
    ):
        argv = [sys.executable, "-m", "jaxpad", *words]
        done = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True)
        told = done.stdout + done.stderr
        assert "pip uninstall -y pynvml" in " ".join(told.split()), told
        assert str(old) in told.replace("\n    ", ""), told
        assert "reset the GPU" not in told
        assert words[0] == "doctor" or done.returncode == 3


def test_another_pynvml_without_a_driver(tmp_path: Path) -> None:
    """It is nobody's concern where there is no GPU."""
    older_pynvml(tmp_path)
    environ = base_environ() | {"PYTHONPATH": f"{tmp_path}:{HOME}"}
    argv = [sys.executable, "-m", "jaxpad", "health"]
    done = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
