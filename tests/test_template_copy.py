"""Copies of the template: what is in them, and that they are in order."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import HOME
from jaxpad.core.paths import read
from templates import SETS, copied, files, ours, task

# Every file of a copy beyond those that pass through from the folders WHOLE.
WHOLE = ("jaxpad", "tools", "smoke_tests", "configs/profiles", "configs/gpus", "configs/tune")
ALWAYS = {
    ".copier-answers.yml",
    ".devcontainer/devcontainer.json",
    ".dockerignore",
    ".github/dependabot.yml",
    ".github/workflows/test.yml",
    ".gitignore",
    ".yamllint",
    "LICENSE",
    "README.md",
    "configs/fleet.toml",
    "configs/health.toml",
    "configs/multi.toml",
    "configs/project.toml",
    "configs/throughput.toml",
    "configs/workloads.toml",
    "configs/xla/flag-history.toml",
    "configs/xla/run-time-flags.toml",
    "docker/Dockerfile",
    "docker/base_jax.py",
    "docker/compose.yaml",
    "docker/docker-bake.hcl",
    "docker/entrypoint",
    "docker/jaxpad",
    "docker/jaxpad.def",
    "docker/jupyter-healthcheck",
    "docker/jupyter_server_config.py",
    "docker/kernel.json",
    "docker/with-profile",
    "pyproject.toml",
    "requirements/audit.toml",
    "requirements/common.in",
    "tasks.py",
    "tests/test_proof.py",
    "tests/test_train.py",
}
PINS = {
    f"requirements/{name}.{end}"
    for name in ("cpu", "dev", "jupyter", "project", "proof", "toolkit")
    for end in ("in", "txt")
}
SOURCE = ("__init__", "checkpoints", "config", "data", "errors", "metrics", "model", "placement")
MORE = ("state", "train")
SLURM = {
    f"configs/clusters/slurm/{name}"
    for name in ("hook", "train-apptainer.sbatch", "train-pyxis.sbatch", "train.sbatch")
}
KUBERNETES = {
    f"configs/clusters/kubernetes/{name}.yaml"
    for name in ("cronjob", "jobset", "multi", "nodes", "role")
}


def pins(*names: str) -> set[str]:
    return {f"requirements/{name}.{end}" for name in names for end in ("in", "txt")}


CHOSEN = {
    "slurm": SLURM | pins("cuda12", "jax-cuda12"),
    "cuda13": pins("cuda13", "jax-cuda13"),
    "kubernetes": KUBERNETES | pins("cuda13"),
    "old-toolbox": pins("cuda12"),
}
Copies = Callable[[str], Path]


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Copies:
    """The copy by one of the sets of answers, made once; no test changes it."""
    return lambda name: copied(tmp_path_factory, name)


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy found out of the files that all copies have alike, it keeps for the next copy."""
    return tmp_path_factory.mktemp("mypy")


each = pytest.mark.parametrize("name", SETS)


@each
def test_template_every_file(copies: Copies, name: str) -> None:
    package = SETS[name].get("package", "my_project")
    passed = {file for file in ours(*WHOLE) if not file.endswith(".jinja")}
    own = {f"src/{package}/{file}.py" for file in (*SOURCE, *MORE)}
    there = files(copies(name))
    assert there == passed | ALWAYS | PINS | own | CHOSEN[name]


@each
def test_template_passes_the_toolkit_through(copies: Copies, name: str) -> None:
    for file in ours(*WHOLE, "tasks.py", "docker/entrypoint", "docker/with-profile"):
        assert (copies(name) / file).read_bytes() == (HOME / file).read_bytes(), file


@each
def test_template_linted(copies: Copies, name: str, mypy_cache: Path) -> None:
    done = task(copies(name), ["lint"], MYPY_CACHE_DIR=str(mypy_cache))
    assert done.returncode == 0, done.stdout + done.stderr


@each
def test_template_choices_are_read(copies: Copies, name: str) -> None:
    found = read(copies(name) / "configs/project.toml")
    answers = SETS[name]
    assert found.name == answers["project_name"]
    assert found.base == answers.get("base", "wheels")
    assert found.cuda == answers.get("cuda", "13" if found.base == "toolbox" else "12")
    assert set(found.gpus) == set(answers.get("gpus", ["h100-sxm"]))
    assert found.registry == answers.get("registry", "")
    assert set(found.workloads) == {"train", "train-8"}


@each
def test_template_unchosen_is_absent(copies: Copies, name: str) -> None:
    folder, answers = copies(name), SETS[name]
    dockerfile = (folder / "docker/Dockerfile").read_text()
    base, chosen = answers.get("base", "wheels"), read(folder / "configs/project.toml").cuda
    other = "toolbox-cuda" if base == "wheels" else "debian:trixie"
    assert other not in dockerfile
    assert ("jax-2025-08-21" in dockerfile) == (base == "toolbox" and chosen == "12")
    assert ("jax-2026-07-24" in dockerfile) == (base == "toolbox" and chosen == "13")
    readme = (folder / "README.md").read_text()
    assert ("Slurm" in readme) == (answers.get("scheduler") == "slurm")
    assert ("Kubernetes" in readme) == (answers.get("scheduler") == "kubernetes")


@each
def test_template_build_takes_the_choices(copies: Copies, name: str) -> None:
    done = task(copies(name), ["build", "--dry-run"], JAXPAD_QUIET="1")
    if done.returncode:  # no engine answers here: that is what it says, not the options
        assert "docker" in done.stderr
        return
    found = read(copies(name) / "configs/project.toml")
    assert f"{found.repository}:0.1.0-{found.base}-cuda{found.cuda}" in done.stdout


def test_template_readme_names_the_image_that_build_makes(copies: Copies) -> None:
    readme = (copies("kubernetes") / "README.md").read_text()
    assert "--image ghcr.io/acme/my-project:0.1.0-toolbox-cuda13 " in readme


def test_template_other_base_is_refused(copies: Copies) -> None:
    done = task(copies("slurm"), ["build", "--base", "toolbox"])
    assert done.returncode == 2
    assert "--base 'toolbox' is not known" in done.stderr
    done = task(copies("slurm"), ["build", "--cuda", "13"])
    assert done.returncode == 2
    assert "this project lacks requirements/jax-cuda13.txt" in done.stderr


def test_template_awkward_words_survive(copies: Copies) -> None:
    folder, answers = copies("cuda13"), SETS["cuda13"]
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["description"] == answers["description"]
    assert project["authors"] == [{"name": answers["author"]}]
    assert answers["author"] in (folder / "LICENSE").read_text()
    label = 'description="Trains \\"it\\" for \\$5 \\\\ \\${HOME} {{ x }} <b>"'
    assert label in (folder / "docker/Dockerfile").read_text()


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("slurm", "Apache License"),
        ("cuda13", "MIT License"),
        ("kubernetes", "BSD 3-Clause License"),
        ("old-toolbox", "Copyright (c)"),
    ],
)
def test_template_licence(copies: Copies, name: str, begins: str) -> None:
    text = (copies(name) / "LICENSE").read_text()
    assert text.strip().startswith(begins)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert (copies(name) / "jaxpad/LICENSE").read_text() == (HOME / "LICENSE").read_text()


def test_template_checks_its_profiles(copies: Copies) -> None:
    done = task(copies("cuda13"), ["profile.check"])
    assert done.returncode == 0, done.stderr


def test_template_knows_its_workloads(copies: Copies) -> None:
    words = ["profile.explain", "--profile", "none", "--gpu", "h100-sxm", "--workload", "nothing"]
    done = task(copies("cuda13"), words)
    assert done.returncode == 2
    assert "train-8" in done.stderr


@each
def test_template_renews_what_it_has(copies: Copies, name: str) -> None:
    done = task(copies(name), ["docs", "--check"])
    assert done.returncode == 0, done.stderr
    assert files(copies(name), "--others", "--exclude-standard") == set()


@pytest.mark.parametrize("words", [["site"], ["profile.matrix", "--check"]])
def test_template_lacks_jaxpads_pages(copies: Copies, words: list[str]) -> None:
    done = task(copies("cuda13"), words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
