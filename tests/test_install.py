"""An installed jaxpad works from any folder, and is small until an extra is asked for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import shared
from helpers import HOME, environ
from jaxpad.core import paths

MOST_MB = 40
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
BRINGS = {"google.protobuf": "protobuf"}  # what a module is called where it is installed from
# A command with what its extra is called.
LACKING = {
    "smoke": "smoke",
    "smoke --platform cpu -k jit": "smoke",
    "multi": "smoke",
    "kernel --dry-run": "smoke",
    "profile.check": "proof",
    "profile.flags": "proof",
    "profile.explain --profile base --gpu l4 --workload fsdp": "proof",
    "profile.matrix --dry-run": "proof",
    "profile.tune --workload dense": "tune",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared.site(tmp_path_factory)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared.base(tmp_path_factory)


def jaxpad(base: Path, folder: Path, words: str) -> subprocess.CompletedProcess[str]:
    variables = environ()
    del variables["PYTHONPATH"]
    argv = [str(base / "bin/jaxpad"), *words.split()]
    return subprocess.run(argv, env=variables, cwd=folder, capture_output=True, text=True)


def test_smoke_from_any_folder(site: Path, tmp_path: Path) -> None:
    done = shared.installed(site, tmp_path, "smoke", "-k", "temporary", "--profile", "base")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "smoke-report/smoke.json").read_text())
    assert (report["verdict"], report["profile"]) == ("pass", "base")


def test_upkeep_needs_a_checkout(site: Path, tmp_path: Path) -> None:
    done = shared.installed(site, tmp_path, "lint")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "checkout" in done.stderr


def test_base_is_small(base: Path) -> None:
    (packages,) = base.glob("lib/python3.*/site-packages")
    sizes = {
        top.name: sum(file.stat().st_size for file in (top, *top.rglob("*")) if file.is_file())
        for top in packages.iterdir()
    }
    assert not {"jax", "jaxlib", "numpy", "matplotlib", "pytest", "optuna"} & sizes.keys()
    assert sum(sizes.values()) < MOST_MB * 1e6, sizes


def test_base_health(base: Path, tmp_path: Path) -> None:
    done = jaxpad(base, tmp_path, "health --json")
    assert json.loads(done.stdout)["verdict"], done.stderr


def test_base_doctor(base: Path, tmp_path: Path) -> None:
    done = jaxpad(base, tmp_path, "doctor --json")
    assert json.loads(done.stdout), done.stderr


def test_base_fleet(base: Path, tmp_path: Path) -> None:
    for node in ("n0", "n1"):
        (tmp_path / "reports" / node).mkdir(parents=True)
        shutil.copy(HOME / "docs/examples/smoke-h200/smoke.json", tmp_path / "reports" / node)
    done = jaxpad(base, tmp_path, "fleet --reports reports --out out")
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out/fleet.json").read_text())["nodes"]
    assert (tmp_path / "out/fleet.html").is_file()


def test_base_profiles(base: Path, tmp_path: Path) -> None:
    done = jaxpad(base, tmp_path, "profile.list --json")
    assert "base" in [row["name"] for row in json.loads(done.stdout)], done.stderr
    done = jaxpad(base, tmp_path, "profile.show --profile base --json")
    assert json.loads(done.stdout)[0]["name"] == "xla_gpu_enable_latency_hiding_scheduler"
    assert re.fullmatch(r"jaxlib is not installed here: this is for jaxlib [\d.]+\n", done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("launch --engine none-such", "none-such"),
        ("smoke --on docker --image no-such-image --gpus x", "jaxpad: "),
        ("smoke --on slurm --platform none-such", "none-such"),
        ("smoke --on kubernetes --image x", "--gpus-per-node"),
    ],
)
def test_base_starts_elsewhere(base: Path, tmp_path: Path, words: str, said: str) -> None:
    """As far as a mistake: the engine or the cluster need not be here."""
    done = jaxpad(base, tmp_path, words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert said in done.stderr
    assert "pip install" not in done.stderr


@pytest.mark.parametrize("words", LACKING)
def test_base_names_the_extra(base: Path, tmp_path: Path, words: str) -> None:
    done = jaxpad(base, tmp_path, words)
    name = words.partition(" ")[0]
    said = f"jaxpad: {name} needs jax: pip install 'jaxpad[{LACKING[words]}]'\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_checkout_names_itself() -> None:
    assert paths.install("smoke") == f"pip install '{HOME}[smoke]'"
    assert paths.lack("x", "smoke", "no_such.module") == (
        f"x needs no_such.module: pip install '{HOME}[smoke]'"
    )


def test_extras_bring_what_commands_need() -> None:
    for extra, modules in paths.MODULES.items():
        brought = {Requirement(one).name for one in PROJECT["optional-dependencies"][extra]}
        assert {BRINGS.get(module, module) for module in modules} <= brought, extra


def test_pins_hold_every_extra() -> None:
    """What can be installed by an extra is what the checkout's own environments pin."""
    text = (HOME / "requirements/dev.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    wanted = [*PROJECT["dependencies"]]
    for extra in ("smoke", "proof", "tune"):
        wanted += PROJECT["optional-dependencies"][extra]
    assert {Requirement(one).name for one in wanted} <= pinned
