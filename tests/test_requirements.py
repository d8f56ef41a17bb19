"""The pins: complete, hashed, for every supported Python, and free of registry addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from helpers import HOME
from tools.upkeep import IMAGE_SETS, SETS, lock_argv

FOLDER = HOME / "requirements"
SMOKE_NEEDS = {
    "invoke",
    "pytest",
    "jaxtyping",
    "beartype",
    "pexpect",
    "rich",
    "nvidia-ml-py",
    "jax",
    "jaxlib",
}
PLUGIN = {
    "cuda12": {"jax-cuda12-plugin", "nvidia-cudnn-cu12"},
    "cuda13": {"jax-cuda13-plugin", "nvidia-cudnn-cu13"},
    "proof": {"jax-cuda12-plugin", "jax-cuda12-pjrt"},
    "dev": {"jax-cuda12-plugin", "hypothesis", "ruff", "mypy", "uv"},
}


def pins(name: str) -> list[Requirement]:
    text = (FOLDER / f"{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all("--hash=sha256:" in line for line in lines)
    return [Requirement(re.split(r"\s+--hash", line)[0]) for line in lines]


@pytest.mark.parametrize("name", SETS)
def test_set_is_complete(name: str) -> None:
    assert {pin.name for pin in pins(name)} >= SMOKE_NEEDS | PLUGIN.get(name, set())


@pytest.mark.parametrize("name", SETS)
def test_set_pins_exactly(name: str) -> None:
    assert all(str(pin.specifier).startswith("==") for pin in pins(name))


def test_proof_has_no_nvidia_libraries() -> None:
    nvidia = {pin.name for pin in pins("proof") if pin.name.startswith("nvidia-")}
    assert nvidia == {"nvidia-ml-py", "nvidia-cuda-nvcc-cu12"}  # ptxas: 40 MB


@pytest.mark.parametrize(
    ("python", "jax"), [("3.11", "0.10."), ("3.12", "0.12."), ("3.13", "0.12.")]
)
def test_jax_by_python(python: str, jax: str) -> None:
    machine = {"python_version": python, "python_full_version": f"{python}.0"}
    for name in SETS:
        found = [
            p
            for p in pins(name)
            if p.name == "jax" and (not p.marker or p.marker.evaluate(machine))
        ]
        assert [str(pin.specifier).startswith(f"=={jax}") for pin in found] == [True]


@pytest.mark.parametrize("file", sorted(FOLDER.iterdir()), ids=lambda file: file.name)
def test_no_addresses(file: Path) -> None:
    assert not re.search(r"https?://|file://|--index-url|--find-links", file.read_text())


def test_image_sets_are_complete() -> None:
    assert {"jax", "jaxlib", "jax-cuda12-plugin"} <= {pin.name for pin in pins("jax-cuda12")}
    assert {"jax", "jaxlib", "jax-cuda13-plugin"} <= {pin.name for pin in pins("jax-cuda13")}
    assert {"jupyterlab", "ipykernel"} <= {pin.name for pin in pins("jupyter")}
    toolkit = {pin.name for pin in pins("toolkit")}
    assert toolkit >= SMOKE_NEEDS - {"jax", "jaxlib"}
    assert not toolkit & {"jax", "jaxlib", "numpy", "scipy", "ml-dtypes"}  # the base has its own


@pytest.mark.parametrize("name", ["toolkit", "jax-cuda12", "jax-cuda13"])
def test_image_has_the_versions_of_the_other_sets(name: str) -> None:
    whole = {str(pin) for pin in pins("cuda13" if name == "jax-cuda13" else "cuda12")}
    assert {str(pin) for pin in pins(name)} <= whole


def test_lock_covers_inputs() -> None:
    assert {file.stem for file in FOLDER.glob("*.in")} - {"common"} == {*SETS, *IMAGE_SETS}
    assert "--generate-hashes" in lock_argv("cpu", upgrade=False)
